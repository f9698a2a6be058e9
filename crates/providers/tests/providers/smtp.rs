use std::sync::Arc;

use providers::{Address, FailureKind, Outgoing, Providers, Unsubscribe};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::facts::{assert_kind, deliver, object, outgoing, providers};
use crate::smtp_server::{Manner, SmtpServer, ToMail};

fn to_ada() -> Outgoing {
    let mut outgoing = outgoing(Address::Email("ada@example.com".to_owned()));
    outgoing.content.html = Some("<p>It is on its way.</p>".to_owned());
    outgoing
}

fn through(server: &SmtpServer) -> Providers {
    let address = server.address;
    providers(&format!(
        r#"
        [smtp]
        url = "smtp://{address}"
        tls = "none"
        from = "Shop <shop@example.org>"
        reply_to = "help@example.org"
        limits = {{ backoff_first_ms = 1, backoff_max_ms = 2, timeout_ms = 1000, attempts_max = 3 }}
        "#
    ))
}

#[tokio::test]
async fn a_mail_is_text_and_html_with_an_id_and_a_way_to_leave() {
    let server = SmtpServer::start(Manner::default()).await;
    let mut outgoing = to_ada();
    outgoing.unsubscribe = Some(Unsubscribe {
        one_click_url: format!("https://example.org/unsubscribe/{}", "t".repeat(300)),
    });
    let receipt = deliver(&through(&server), &outgoing).await.expect("sent");
    assert_eq!(receipt.attempts, 1);
    let id = receipt.provider_message_id.expect("an id");
    assert_eq!(id, "<1-abc@example.org>");
    let mails = server.mails();
    let [received] = mails.as_slice() else {
        panic!("one mail")
    };
    assert_eq!(received.recipients, ["RCPT TO:<ada@example.com>"]);
    assert_eq!(received.header("Message-ID"), id);
    assert_eq!(received.header("From"), "Shop <shop@example.org>");
    assert_eq!(received.header("Reply-To"), "help@example.org");
    assert_eq!(received.header("To"), "ada@example.com");
    assert_eq!(received.header("Subject"), "Your order");
    let url = outgoing.unsubscribe.expect("a way").one_click_url;
    assert_eq!(received.header("List-Unsubscribe"), format!("<{url}>"));
    let post = received.header("List-Unsubscribe-Post");
    assert_eq!(post, "List-Unsubscribe=One-Click");
    assert!(
        received
            .header("Content-Type")
            .starts_with("multipart/alternative")
    );
    let text = received
        .mail
        .find("\r\nIt is on its way.")
        .expect("the text");
    let html = received
        .mail
        .find("<p>It is on its way.</p>")
        .expect("the HTML");
    assert!(text < html, "what is preferred comes last");
}

#[tokio::test]
async fn nothing_that_is_given_begins_another_header() {
    let server = SmtpServer::start(Manner::default()).await;
    let providers = through(&server);
    let injected = "x\r\nBcc: eve@example.com\r\n\r\nbody";
    let mut outgoing = to_ada();
    outgoing.message_id = injected.to_owned();
    outgoing.content.title = Some(injected.to_owned());
    outgoing.unsubscribe = Some(Unsubscribe {
        one_click_url: format!("https://example.org/{injected}"),
    });
    outgoing.overrides = object(json!({
        "subject": injected,
        "from": injected,
        "reply_to": format!("a@example.org{injected}"),
        "cc": [format!("a@example.org{injected}")],
        "headers": { "X-A": injected, "X-B: y\r\nBcc": "eve@example.com", "Bcc": "eve@example.com" },
    }));
    deliver(&providers, &outgoing).await.expect("sent");
    let mails = server.mails();
    assert_eq!(mails[0].recipients, ["RCPT TO:<ada@example.com>"]);
    let (head, _) = mails[0].mail.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_lowercase().contains("\nbcc"), "{head}");
    assert!(!head.contains("X-A") && !head.contains("X-B"), "{head}");

    outgoing.address = Address::Email("ada@example.com>\r\nRCPT TO:<eve@example.com".to_owned());
    assert_kind(deliver(&providers, &outgoing).await, FailureKind::Malformed);
}

#[tokio::test]
async fn a_message_can_say_otherwise_about_its_mail() {
    let server = SmtpServer::start(Manner::default()).await;
    let mut outgoing = to_ada();
    outgoing.overrides = object(json!({ "email": {
        "subject": "Größer",
        "from": "Else <else@example.net>",
        "reply_to": "reply@example.net",
        "cc": "cc@example.net",
        "bcc": ["bcc@example.net", 7, "nonsense"],
        "headers": { "X-Campaign": "spring" },
    }}));
    deliver(&through(&server), &outgoing).await.expect("sent");
    let mails = server.mails();
    let expected = ["ada@example.com", "cc@example.net", "bcc@example.net"];
    assert_eq!(
        mails[0].recipients,
        expected.map(|it| format!("RCPT TO:<{it}>"))
    );
    assert_eq!(mails[0].header("From"), "Else <else@example.net>");
    assert_eq!(mails[0].header("Reply-To"), "reply@example.net");
    assert_eq!(mails[0].header("X-Campaign"), "spring");
    assert_eq!(mails[0].header("Message-ID"), "<1-abc@example.net>");
    assert!(mails[0].header("Subject").starts_with("=?utf-8?"));
    assert!(!mails[0].mail.contains("bcc@example.net"));
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_once_it_is_closed() {
    let server = SmtpServer::start(Manner::default()).await;
    let providers = through(&server);
    for _ in 0..3 {
        deliver(&providers, &to_ada()).await.expect("sent");
    }
    assert_eq!((server.connections(), server.mails().len()), (1, 3));

    let closing = Manner {
        closes_after_mail: true,
        ..Manner::default()
    };
    let server = SmtpServer::start(closing).await;
    let providers = through(&server);
    for _ in 0..3 {
        let receipt = deliver(&providers, &to_ada()).await.expect("sent");
        assert_eq!(receipt.attempts, 1);
    }
    assert_eq!((server.connections(), server.mails().len()), (3, 3));
}

#[tokio::test]
async fn a_mailbox_that_is_busy_is_tried_again_on_the_same_connection() {
    let manner = Manner {
        to_recipients: vec!["450 4.2.1 busy", "450 4.2.1 busy", "250 ok"],
        ..Manner::default()
    };
    let server = SmtpServer::start(manner).await;
    let receipt = deliver(&through(&server), &to_ada()).await.expect("sent");
    assert_eq!((receipt.attempts, server.connections()), (3, 1));
}

#[tokio::test]
async fn refusals_are_for_good_and_do_not_repeat_the_address() {
    for (answer, kind) in [
        (
            "550 5.1.1 <ada@example.com> nobody here",
            FailureKind::DeadAddress,
        ),
        (
            "550 5.7.1 we do not like <ada@example.com>",
            FailureKind::Refused,
        ),
    ] {
        let manner = Manner {
            to_recipients: vec![answer],
            ..Manner::default()
        };
        let server = SmtpServer::start(manner).await;
        let undelivered = assert_kind(deliver(&through(&server), &to_ada()).await, kind);
        assert_eq!(undelivered.attempts, 1);
        assert!(!undelivered.reason.contains("ada"), "{undelivered}");
    }
    let manner = Manner {
        to_mail: ToMail::Answers("554 5.6.0 no"),
        ..Manner::default()
    };
    let server = SmtpServer::start(manner).await;
    assert_kind(
        deliver(&through(&server), &to_ada()).await,
        FailureKind::Refused,
    );
}

#[tokio::test]
async fn a_mail_without_an_answer_is_not_sent_again() {
    for to_mail in [ToMail::Drops, ToMail::Hangs] {
        let manner = Manner {
            to_mail,
            ..Manner::default()
        };
        let server = SmtpServer::start(manner).await;
        assert_kind(
            deliver(&through(&server), &to_ada()).await,
            FailureKind::Unknown,
        );
        assert_eq!(server.mails().len(), 1);
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_encryption_unless_that_is_allowed() {
    let server = SmtpServer::start(Manner::default()).await;
    let address = server.address;
    let providers = providers(&format!(
        r#"
        [smtp]
        url = "smtp://user:hunter2@{address}"
        from = "shop@example.org"
        limits = {{ attempts_max = 1 }}
        "#
    ));
    let undelivered = assert_kind(
        deliver(&providers, &to_ada()).await,
        FailureKind::Unavailable,
    );
    assert!(!undelivered.to_string().contains("hunter2"));
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_password_is_told_once_the_server_is_known_and_the_line_encrypted() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let certified = certified.expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .expect("a certificate");
    let manner = Manner {
        tls: Some(TlsAcceptor::from(Arc::new(tls))),
        ..Manner::default()
    };
    let server = SmtpServer::start(manner).await;
    let authority = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(authority.path(), certified.cert.pem()).expect("a file");
    let port = server.address.port();
    let smtp = format!(
        "[smtp]\nurl = 'smtp://user:hunter2@localhost:{port}'\nfrom = 'shop@example.org'\nlimits = {{ attempts_max = 1 }}"
    );
    let delivered = deliver(&providers(&smtp), &to_ada()).await;
    assert_kind(delivered, FailureKind::Unavailable);
    assert!(server.mails().is_empty(), "nobody vouches for it");

    let known = format!("{smtp}\nca_file = '{}'", authority.path().display());
    deliver(&providers(&known), &to_ada()).await.expect("sent");
    assert_eq!(server.mails().len(), 1);
}
