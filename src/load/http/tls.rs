//! TLS as a load test needs it: with a team's own authorities and certificates, and with failures that carry OpenSSL's
//! names, because those are what Node reports.
//!
//! It stands alone because it is all that is set up about TLS; whom to trust is `trust`'s.

use std::borrow::Cow;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};

use super::trust::{Untrusted, Verifier};
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

pub(super) fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
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

    #[test]
    fn settings_that_hold_no_certificate_are_refused() {
        let settings = TlsSettings { authorities: vec![b"nothing".to_vec()], ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::Authority(_))));
        let settings = TlsSettings { identity: Some((b"no".to_vec(), b"no".to_vec())), ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::Identity(_))));
        let settings = TlsSettings { server_name: Some("no name!".into()), ..TlsSettings::default() };
        assert!(matches!(Tls::new(&settings), Err(SettingsError::ServerName(_))));
    }
}
