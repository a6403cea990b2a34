//! Whom to trust: everybody (`-k`), a team's own authorities, or the system's.
//!
//! It stands alone because it is the one place that decides about a certificate. The system's authorities are read when
//! the first certificate is checked: a plain HTTP run never pays for them. Why trust ended is told as OpenSSL tells it.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::tls::certificates_of;
use super::{SettingsError, TlsSettings};

/// Decides whether a server's certificate is good.
#[derive(Debug)]
pub(super) struct Verifier {
    verify: bool,
    /// The only ones trusted, when there are any.
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    web: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Verifier {
    pub(super) fn new(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Self, SettingsError> {
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
pub(super) enum Untrusted {
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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(der in prop::collection::vec(any::<u8>(), 0..64)) {
            is_self_signed(&der);
        }
    }
}
