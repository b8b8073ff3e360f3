//! Base64 that others wrote, read as its own readers read it: pure.
//!
//! kubectl, kubelets and docker are programs in Go, whose decoder passes over the ends of lines and leaves bits that
//! no byte needs alone. `base64` of coreutils breaks lines at 76 characters, so that such text is everywhere.
//! Source: <https://pkg.go.dev/encoding/base64#Encoding.Decode>

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

const fn reader(padding: DecodePaddingMode) -> GeneralPurpose {
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(padding))
}

/// `base64.StdEncoding`, which is also how Go reads bytes in JSON and thereby in a kubeconfig.
pub(crate) fn padded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode(&const { reader(DecodePaddingMode::RequireCanonical) }, text)
}

/// Either that or `base64.RawStdEncoding`, as kubelets read the `auth` of a docker config.
/// Source: `decodeDockerConfigFieldAuth` in `pkg/credentialprovider/config.go` of Kubernetes
pub(crate) fn padded_or_not(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    decode(&const { reader(DecodePaddingMode::Indifferent) }, text)
}

fn decode(reader: &GeneralPurpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // It may be a private key.
    let joined: Zeroizing<Vec<u8>> = Zeroizing::new(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect());
    reader.decode(&*joined).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_end_anywhere_and_nothing_else_is_passed_over() {
        let read = |text: &str| padded(text).map(|bytes| bytes.to_vec());
        for text in ["c2VjcmV0cw==", "c2Vj\ncmV0cw==\n", "\r\nc2VjcmV0c\r\nw=\n=", "c2VjcmV0cx=="] {
            assert_eq!(read(text).as_deref(), Some(&b"secrets"[..]), "{text:?}");
        }
        assert_eq!(read(""), Some(Vec::new()));
        // What Go refuses.
        for text in ["c2Vj cmV0cw==", "c2VjcmV0cw== ", "c2VjcmV0cw", "c2VjcmV0cw=", "c2Vj\tcmV0cw==", "c2Vj-_V0cw==", "!"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(padded_or_not("c2Vj\ncmV0cw").map(|bytes| bytes.to_vec()).as_deref(), Some(&b"secrets"[..]));
    }
}
