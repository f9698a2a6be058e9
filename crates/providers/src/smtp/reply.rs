use std::error::Error as _;

use lettre::transport::smtp::Error;

use crate::failure::{Failure, Fault};

/// Where in the dialogue something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before any mail: greeting, encryption, authentication.
    Connection,
    Sender,
    Recipient,
    Data,
    /// The mail was written, and its answer was waited for.
    Content,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "the connection",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "the beginning of the mail",
            Self::Content => "the mail",
        }
    }
}

/// Whether nothing more can be said on this connection.
pub(super) fn is_connection_over(error: &Error) -> bool {
    match error.status() {
        Some(code) => u16::from(code) == 421,
        None => true,
    }
}

pub(super) fn failure(phase: Phase, error: &Error) -> Failure {
    let Some(code) = error.status() else {
        return match phase {
            Phase::Content => Failure::Unknown(
                "the mail was handed over, and the connection ended without an answer".to_owned(),
            ),
            Phase::Connection | Phase::Sender | Phase::Recipient | Phase::Data => {
                let phase = phase.as_str();
                Failure::unavailable(format!("the server was lost at {phase}"))
            }
        };
    };
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    answered(phase, code.into(), enhanced(&text))
}

/// The enhanced status code (RFC 3463) with which a text begins.
fn enhanced(text: &str) -> Option<[u16; 3]> {
    let word = text.split_whitespace().next()?;
    let mut parts = word.splitn(3, '.').map(|part| part.parse().ok());
    let parts = [parts.next()??, parts.next()??, parts.next()??];
    matches!(parts, [2 | 4 | 5, 0..=999, 0..=999]).then_some(parts)
}

fn answered(phase: Phase, code: u16, enhanced: Option<[u16; 3]>) -> Failure {
    let at = phase.as_str();
    let reason = match enhanced {
        Some([class, subject, detail]) => {
            format!("the server answered {code} {class}.{subject}.{detail} to {at}")
        }
        None => format!("the server answered {code} to {at}"),
    };
    match (phase, code, enhanced) {
        // What it says before there is a recipient, it may say to everybody.
        (Phase::Connection, _, _) | (_, 421, _) | (Phase::Sender | Phase::Data, 400..=499, _) => {
            Failure::unavailable(reason)
        }
        // A mailbox is busy or full, or a recipient is not known yet.
        (Phase::Recipient | Phase::Content, 400..=499, _) => Failure::Retry {
            after: None,
            fault: Fault::Recipient,
            reason,
        },
        // About the address that is written to; 7 and 8 are about ours.
        (_, 550 | 551 | 553, Some([5, 1, detail])) if !matches!(detail, 7 | 8) => {
            Failure::DeadAddress(reason)
        }
        (_, _, _) => Failure::Refused(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::FailureKind;

    #[test]
    fn answers_tell_what_is_gone_from_what_is_refused_and_what_may_go_better() {
        let kind = |code, text| {
            let failure = answered(Phase::Recipient, code, enhanced(text));
            failure.into_kind_and_reason().0
        };
        assert_eq!(
            kind(550, "5.1.1 <ada@example.com> is not here"),
            FailureKind::DeadAddress
        );
        assert_eq!(kind(553, "5.1.3 what is that"), FailureKind::DeadAddress);
        assert_eq!(kind(550, "5.1.8 bad sender"), FailureKind::Refused);
        assert_eq!(kind(550, "5.7.1 spam"), FailureKind::Refused);
        assert_eq!(kind(550, "no"), FailureKind::Refused);
        assert_eq!(kind(554, "5.1.1 no"), FailureKind::Refused);
        assert_eq!(kind(450, "4.2.1 later"), FailureKind::Unavailable);
    }

    #[test]
    fn a_reason_repeats_nothing_but_codes() {
        let failure = answered(Phase::Recipient, 550, enhanced("5.1.1 <ada@example.com>"));
        let (_, reason) = failure.into_kind_and_reason();
        assert_eq!(reason, "the server answered 550 5.1.1 to the recipient");
        assert_eq!(enhanced("5.1.1<ada@example.com>"), None);
        assert_eq!(enhanced("hello"), None);
    }
}
