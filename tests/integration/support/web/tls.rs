//! Throw-away certificates: an authority that lives as long as its server, and what it signs.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What the server shows, and what it wants to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls {
    pub certificate: Certificate,
    pub client: Client,
}

/// The certificate of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`, signed by the authority.
    #[default]
    Good,
    /// Not valid since 2001.
    Expired,
    /// For `elsewhere.example`.
    WrongName,
    /// As the good one, but signed by itself.
    SelfSigned,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    #[default]
    Anyone,
    /// Only those with a certificate of the authority.
    Certified,
}

/// An authority of one's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new one.
    pub fn new() -> Authority {
        let mut params = named("pyperf tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("the parameters are good");
        Authority { issuer }
    }

    /// Its own certificate as PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A client's certificate and its key as PEM.
    pub fn client(&self) -> String {
        let (key, mut params) = (key(), named("a client"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are good");
        certificate.pem() + &key.serialize_pem()
    }

    /// What a server needs to be as `tls` says. It speaks HTTP/1.1 only.
    pub fn server(&self, tls: Tls) -> Arc<ServerConfig> {
        let (chain, key) = self.identity(tls.certificate);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("ring knows them");
        let builder = match tls.client {
            Client::Anyone => builder.with_no_client_auth(),
            Client::Certified => {
                let mut roots = RootCertStore::empty();
                roots.add(self.issuer.der().clone()).expect("it is a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("there is a root"))
            }
        };
        let mut config = builder.with_single_cert(chain, key).expect("the key belongs to the certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn identity(&self, certificate: Certificate) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = key();
        let names = match certificate {
            Certificate::WrongName => vec!["elsewhere.example".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("the names are good");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if certificate == Certificate::Expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let signed = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain = vec![signed.expect("the parameters are good").der().clone()];
        (chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}
