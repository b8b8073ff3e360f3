//! What to do about a credential that is missing, broken or not known, by the very cause: who is told to issue a new key
//! where a path was mistyped replaces a good one.

use crate::snapshot::ErrorClass;

pub(super) const NO_FILE: &str = "Put the file there, such as by mounting its Secret, or correct `from.file`. The credential itself may be good.";

pub(super) const UNREADABLE_FILE: &str = "Let the user that the exporter runs as read this file, or correct `from.file`. The credential itself may be good.";

pub(super) const NO_VARIABLE: &str = "Set the variable where the exporter is started, with a value, or correct `from.env`. The credential itself may be good.";

pub(super) const NO_SECRET: &str =
    "Create the Secret, or correct the cluster, namespace and name in `from.secret`. Where an operator writes it, look at its ExternalSecret or Certificate.";

pub(super) const NO_KEY: &str =
    "Compare with the keys that the Secret has (`kubectl describe secret` prints no values): correct the key in `from.secret`, or write a value under it.";

pub(super) const NO_MANAGED_SECRET: &str = "Create the secret in this region and account, or correct `region` and `id` in `from.secrets_manager`.";

pub(super) const NO_FIELD: &str = "Correct `field` in `from.secrets_manager`, or store a JSON object with this field.";

pub(super) const EMPTY: &str = "Write the credential to its place: something is there, and it is empty.";

pub(super) const NO_ACCESS: &str = "Let the exporter read this Secret: `readiness-exporter config rbac --cluster CLUSTER` prints the role. Status 401 means that its login at the cluster is refused. The credential itself may be good.";

/// What was read is no credential of its kind.
pub(super) const BROKEN: &str = "Compare what stands there with the configuration: correct `kind`, `from` or `pointer` where another thing is meant. Else write the credential to its place again, whole.";

/// It is over, by its own dates or by the word of its issuer.
pub(super) const OVER: &str = "Issue a new one, replace every copy, and restart the workloads that read it only at their start.";

pub(super) const NOT_YET: &str = "Put the one before it back until this one begins, and compare the clocks of its issuer and of this machine.";

pub(super) const BEGINS_SOON: &str = "Wait until it begins. If this comes again with each new one, compare the clocks of its issuer and of this machine.";

pub(super) const DECLARED_END: &str = "If it was renewed, correct the end that is written down. Else issue a new one and replace every copy.";

pub(super) const TOO_OLD: &str = "Rotate it, or agree on a longer `max_age`.";

pub(super) const WRONG_PAIR: &str = "Put the certificate and the private key of one and the same renewal there.";

pub(super) const UNKNOWN_PAIR: &str =
    "Compare the two by hand: `openssl x509 -in CERTIFICATE -noout -pubkey` and `openssl pkey -in KEY -pubout` must print the same. Then waive this line.";

pub(super) const REFUSED: &str = "Ask its issuer whether it was revoked, and whether the configuration asks the right issuer. Then issue a new one, replace every copy, and restart the workloads that read it only at their start.";

pub(super) const NO_APPLICATION: &str = "Correct `tenant` and `client_id` in `entra`, or register the application again. The secret itself may be good.";

/// Its issuer knows it, and holds it back.
pub(super) const HELD_BACK: &str = "Lift the limit, the budget or the block of this key where it was issued: a new key is not needed.";

pub(super) const HALF: &str = "Name the other half: `secret_key` in `from.secret`, or one file or field that holds both.";

pub(super) const TELLS_NOTHING: &str =
    "Try it by hand before the event, and declare its end with `expires`: its issuer tells nothing about tokens of this kind.";

pub(super) const UNASKED: &str =
    "Try it by hand before the event: no issuer can be asked about this kind. Where it is of a kind that its issuer proves, correct `kind`.";

/// It may do its work, and may not ask about itself.
pub(super) const NOT_SHOWN: &str = "Try it by hand before the event, with one small call to a model.";

/// Its issuer could not be asked.
pub(super) const fn of_issuer(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Timeout | ErrorClass::Unreachable => {
            "Let the exporter reach the issuer: look at its name, route, firewall and proxy. Nothing is known to be wrong with the credential."
        }
        ErrorClass::Throttled | ErrorClass::Server => {
            "Wait a minute. If it stays so, look at the issuer: it answers nobody as it should. Nothing is known to be wrong with the credential."
        }
        ErrorClass::Denied => {
            "Let whoever asks read about it: the credential itself needs the right to read its own record, or the exporter's role the call that is named. Else try the credential by hand."
        }
        ErrorClass::NotFound | ErrorClass::Malformed => {
            "Correct `api` where it leads to another program, a proxy or a sign-in page. Nothing is known to be wrong with the credential."
        }
        ErrorClass::Local => "Fix what is named: the cause is on the exporter's own side. Nothing is known to be wrong with the credential.",
        ErrorClass::Panicked => "Restart the exporter, and report this with its log: it is a defect of this program.",
    }
}
