use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does where it matters.
#[derive(Clone)]
pub(crate) struct Manner {
    /// Answers to recipients, in turn; the last again and again.
    pub(crate) to_recipients: Vec<&'static str>,
    pub(crate) to_mail: ToMail,
    /// Whether it closes after every mail, while the other side keeps its end.
    pub(crate) closes_after_mail: bool,
    /// With which it offers STARTTLS.
    pub(crate) tls: Option<TlsAcceptor>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ToMail {
    Answers(&'static str),
    /// Takes it, and closes without an answer.
    Drops,
    /// Takes it, and never answers.
    Hangs,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            to_recipients: vec!["250 2.1.5 ok"],
            to_mail: ToMail::Answers("250 2.0.0 queued as 17"),
            closes_after_mail: false,
            tls: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) recipients: Vec<String>,
    pub(crate) mail: String,
}

impl Received {
    /// The value of a header, unfolded.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> String {
        let (head, _) = self.mail.split_once("\r\n\r\n").expect("a head");
        let head = head.replace("\r\n ", " ");
        let mut lines = head.lines();
        let found = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.expect("the header").to_owned()
    }
}

#[derive(Default)]
struct Seen {
    connections: usize,
    recipients: usize,
    mails: Vec<Received>,
}

/// In the clear or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// As much of an SMTP server as a mail needs.
#[derive(Clone)]
pub(crate) struct SmtpServer {
    pub(crate) address: std::net::SocketAddr,
    manner: Arc<Manner>,
    seen: Arc<Mutex<Seen>>,
}

impl SmtpServer {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            manner: Arc::new(manner),
            seen: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.seen.lock().expect("no panic").connections += 1;
                let server = accepting.clone();
                // Whoever hangs up ends their own dialogue only.
                tokio::spawn(async move { server.converse(Box::new(stream)).await.ok() });
            }
        });
        server
    }

    pub(crate) fn mails(&self) -> Vec<Received> {
        self.seen.lock().expect("no panic").mails.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().expect("no panic").connections
    }

    async fn converse(&self, stream: Box<dyn Stream>) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        say(&mut stream, "220 loopback ESMTP").await?;
        let mut recipients = Vec::new();
        let mut is_encrypted = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" if self.manner.tls.is_some() && !is_encrypted => {
                    say(&mut stream, "250-loopback\r\n250 STARTTLS").await?;
                }
                "EHLO" => say(&mut stream, "250-loopback\r\n250 AUTH PLAIN").await?,
                "STAR" => {
                    say(&mut stream, "220 go ahead").await?;
                    let tls = self.manner.tls.as_ref().expect("it was offered");
                    let encrypted: Box<dyn Stream> =
                        Box::new(tls.accept(stream.into_inner()).await?);
                    stream = BufReader::new(encrypted);
                    is_encrypted = true;
                }
                // user, password: nobody else.
                "AUTH" if is_encrypted && line.trim() == "AUTH PLAIN AHVzZXIAaHVudGVyMg==" => {
                    say(&mut stream, "235 welcome").await?;
                }
                "RCPT" => {
                    let answer = self.to_recipient();
                    recipients.push(line.trim().to_owned());
                    say(&mut stream, answer).await?;
                }
                "DATA" => {
                    say(&mut stream, "354 go ahead").await?;
                    let mail = read_mail(&mut stream).await?;
                    let recipients = std::mem::take(&mut recipients);
                    let received = Received { recipients, mail };
                    self.seen.lock().expect("no panic").mails.push(received);
                    match self.manner.to_mail {
                        ToMail::Answers(answer) => say(&mut stream, answer).await?,
                        ToMail::Drops => return Ok(()),
                        ToMail::Hangs => std::future::pending().await,
                    }
                    if self.manner.closes_after_mail {
                        return Ok(());
                    }
                }
                "QUIT" => return say(&mut stream, "221 bye").await,
                "MAIL" | "RSET" | "NOOP" => say(&mut stream, "250 ok").await?,
                _ => say(&mut stream, "502 what").await?,
            }
        }
    }

    fn to_recipient(&self) -> &'static str {
        let mut seen = self.seen.lock().expect("no panic");
        let answers = &self.manner.to_recipients;
        let answer = answers[seen.recipients.min(answers.len() - 1)];
        seen.recipients += 1;
        answer
    }
}

async fn say(stream: &mut BufReader<Box<dyn Stream>>, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await
}

async fn read_mail(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<String> {
    let mut mail = Vec::new();
    while !mail.ends_with(b"\r\n.\r\n") {
        mail.push(stream.read_u8().await?);
    }
    mail.truncate(mail.len() - 3);
    Ok(String::from_utf8_lossy(&mail).into_owned())
}
