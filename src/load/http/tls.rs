//! TLS as a load test needs it: checked or not (`-k`), with a team's own authorities and certificates, and with
//! failures that carry OpenSSL's names, because those are what Node reports.
//!
//! It stands alone because it is the one place that decides whom to trust. The system's authorities are read when the
//! first certificate is checked: a plain HTTP run never pays for them.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::{Origin, SettingsError, TlsSettings};

/// Ready-made configurations, one for each list of protocols that is offered.
#[derive(Debug)]
pub(super) struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, SettingsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(settings, &provider)?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let certificates = certificates_of(certificates).map_err(SettingsError::Identity)?;
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|error| SettingsError::Identity(error.to_string()))?;
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| SettingsError::Identity(error.to_string()))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server_name = match &settings.server_name {
            None => None,
            Some(name) => {
                Some(ServerName::try_from(name.clone()).map_err(|_| SettingsError::ServerName(name.clone()))?)
            }
        };
        Ok(Self { http1: Arc::new(config), http2: Arc::new(http2), server_name })
    }

    pub(super) fn config(&self, http2: bool) -> Arc<ClientConfig> {
        Arc::clone(if http2 { &self.http2 } else { &self.http1 })
    }

    /// The name that the server must prove to have; nothing when the host cannot be one.
    pub(super) fn server_name(&self, origin: &Origin) -> Option<ServerName<'static>> {
        match (&self.server_name, origin.address()) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(address)) => Some(ServerName::IpAddress(address.into())),
            (None, None) => ServerName::try_from(origin.host().to_owned()).ok(),
        }
    }
}

fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// Decides whether a server's certificate is good.
#[derive(Debug)]
struct Verifier {
    verify: bool,
    /// The only ones trusted, when there are any.
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    web: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Verifier {
    fn new(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Self, SettingsError> {
        let mut authorities = Vec::new();
        for pem in &settings.authorities {
            authorities.extend(certificates_of(pem).map_err(SettingsError::Authority)?);
        }
        Ok(Self { verify: settings.verify, authorities, provider: Arc::clone(provider), web: OnceLock::new() })
    }

    fn web(&self) -> Result<&WebPkiServerVerifier, Error> {
        let made = self.web.get_or_init(|| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))
        });
        made.as_deref().map_err(Clone::clone)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        if self.authorities.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        } else {
            roots.add_parsable_certificates(self.authorities.iter().cloned());
        }
        roots
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        // `openssl req -x509` makes a certificate that is its own authority. OpenSSL accepts it when it is given as an
        // authority, webpki never does.
        if self.authorities.contains(leaf) {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.web()?.verify_server_cert(leaf, others, name, ocsp, now).map_err(|error| untrusted(error, leaf, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Where trust ended, as OpenSSL tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untrusted {
    SelfSigned,
    SelfSignedInChain,
    NoIssuer,
}

impl Display for Untrusted {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::SelfSigned => "the certificate is signed by itself",
            Self::SelfSignedInChain => "the chain ends in an authority that is not trusted",
            Self::NoIssuer => "the issuer of the certificate is not known",
        })
    }
}

impl std::error::Error for Untrusted {}

/// webpki says `UnknownIssuer`, or that an authority was used as a server; OpenSSL says who signed it.
fn untrusted(error: Error, leaf: &[u8], others: &[CertificateDer<'_>]) -> Error {
    let reason = match &error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => {
            if is_self_signed(leaf) {
                Untrusted::SelfSigned
            } else if others.iter().any(|other| is_self_signed(other)) {
                Untrusted::SelfSignedInChain
            } else if matches!(&error, Error::InvalidCertificate(CertificateError::UnknownIssuer)) {
                Untrusted::NoIssuer
            } else {
                return error;
            }
        }
        _ => return error,
    };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

/// Whether subject and issuer are the same (RFC 5280, 4.1: version, serial, algorithm, issuer, validity, subject).
fn is_self_signed(certificate: &[u8]) -> bool {
    fn names(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
        let (_, certificate, _) = element(certificate)?;
        let (_, mut rest, _) = element(certificate)?;
        if let Some((0xa0, _, after)) = element(rest) {
            rest = after;
        }
        let (_, _, rest) = element(rest)?;
        let (_, _, rest) = element(rest)?;
        let (_, issuer, rest) = element(rest)?;
        let (_, _, rest) = element(rest)?;
        let (_, subject, _) = element(rest)?;
        Some((issuer, subject))
    }
    names(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// The first DER element of a slice: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Node's code of a TLS error.
pub(super) fn code(error: &Error) -> Cow<'static, str> {
    match error {
        Error::InvalidCertificate(reason) => code_of_certificate(reason).into(),
        Error::AlertReceived(alert) => code_of_alert(*alert),
        // What a plain HTTP server answers to a handshake.
        Error::InvalidMessage(_) => "ERR_SSL_WRONG_VERSION_NUMBER".into(),
        Error::NoApplicationProtocol => "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL".into(),
        _ => "EPROTO".into(),
    }
}

fn code_of_certificate(reason: &CertificateError) -> &'static str {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "CERT_HAS_EXPIRED",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "CERT_NOT_YET_VALID",
        CertificateError::Revoked => "CERT_REVOKED",
        CertificateError::BadSignature => "CERT_SIGNATURE_FAILURE",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "ERR_TLS_CERT_ALTNAME_INVALID"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "INVALID_PURPOSE",
        CertificateError::UnknownIssuer => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        CertificateError::Other(other) => match other.0.downcast_ref::<Untrusted>() {
            Some(Untrusted::SelfSigned) => "DEPTH_ZERO_SELF_SIGNED_CERT",
            Some(Untrusted::SelfSignedInChain) => "SELF_SIGNED_CERT_IN_CHAIN",
            Some(Untrusted::NoIssuer) => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            None => "CERT_REJECTED",
        },
        _ => "CERT_REJECTED",
    }
}

/// OpenSSL's names: `HandshakeFailure` is `ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE`, those added later have other prefixes.
fn code_of_alert(alert: AlertDescription) -> Cow<'static, str> {
    match alert {
        AlertDescription::HandshakeFailure => "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE".into(),
        AlertDescription::BadCertificate => "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE".into(),
        AlertDescription::CertificateRequired => "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED".into(),
        AlertDescription::UnknownCA => "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA".into(),
        AlertDescription::ProtocolVersion => "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION".into(),
        AlertDescription::InternalError => "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR".into(),
        AlertDescription::UnrecognisedName => "ERR_SSL_TLSV1_UNRECOGNIZED_NAME".into(),
        AlertDescription::NoApplicationProtocol => "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL".into(),
        other => format!("ERR_SSL_ALERT_{}", u8::from(other)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_signed_a_certificate_is_read_from_it() {
        let alone = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        assert!(is_self_signed(alone.cert.der()));
        let authority = rcgen::Issuer::new(rcgen::CertificateParams::default(), alone.signing_key);
        let key = rcgen::KeyPair::generate().expect("made");
        let mut leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "a server");
        let leaf = leaf.signed_by(&key, &authority).expect("signed");
        assert!(!is_self_signed(leaf.der()));
    }

    #[test]
    fn settings_that_hold_no_certificate_are_refused() {
        let settings = TlsSettings { authorities: vec![b"nothing".to_vec()], ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::Authority(_))));
        let settings = TlsSettings { identity: Some((b"no".to_vec(), b"no".to_vec())), ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::Identity(_))));
        let settings = TlsSettings { server_name: Some("no name!".into()), ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::ServerName(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(der in prop::collection::vec(any::<u8>(), 0..64)) {
            is_self_signed(&der);
        }
    }
}
