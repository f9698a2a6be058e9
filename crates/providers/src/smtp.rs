mod connections;
mod mail;
mod reply;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use types::Channel;

use crate::config::{ConfigError, SmtpConfig};
use crate::failure::Failure;
use crate::outgoing::{Address, Outgoing};
use crate::provider::{Attempt, Handover, Provider};
use crate::smtp::connections::Connections;
use crate::smtp::mail::{Mail, mail};
use crate::smtp::reply::{Phase, failure, is_connection_over};

const NAME: &str = "smtp";

/// A server that takes e-mail. The dialogue is held here, command by command, because only so it is known
/// whether a connection broke before or after a mail was handed over.
pub(crate) struct Smtp {
    connections: Connections,
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl Smtp {
    pub(crate) fn new(config: &SmtpConfig) -> Result<Self, ConfigError> {
        let mailbox = |setting, text: &str| {
            text.parse().map_err(|_| ConfigError::Invalid {
                provider: NAME,
                setting,
                expected: "an address, or a name and an address in angle brackets",
            })
        };
        let reply_to = config.reply_to.as_deref();
        Ok(Self {
            connections: Connections::new(config)?,
            from: mailbox("from", &config.from)?,
            reply_to: reply_to.map(|it| mailbox("reply_to", it)).transpose()?,
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Email(to) = &outgoing.address else {
            return Err(Failure::Malformed("no mailbox".to_owned()));
        };
        let mail = mail(to, outgoing, &self.from, self.reply_to.as_ref())?;
        let mut connection = self.begin(&mail).await?;
        let outcome = transfer(&mut connection, &mail, handover).await;
        match &outcome {
            Ok(()) => self.connections.give_back(connection),
            // The server said no to this mail, and can be asked for the next.
            Err(error) if !is_connection_over(&error.1) => {
                if connection.command(Rset).await.is_ok() {
                    self.connections.give_back(connection);
                }
            }
            Err(_) => {}
        }
        match outcome {
            Ok(()) => Ok(Some(mail.message_id)),
            Err((phase, error)) => Err(failure(phase, &error)),
        }
    }

    /// A connection on which the mail is begun. One that was used before may have been closed meanwhile; a
    /// new one then takes its place, within the same attempt.
    async fn begin(&self, mail: &Mail) -> Result<AsyncSmtpConnection, Failure> {
        if let Some(mut connection) = self.connections.take_idle() {
            let parameters = parameters(&connection, mail)?;
            let from = MailFrom::new(mail.envelope.from().cloned(), parameters);
            match connection.command(from).await {
                Ok(_) => return Ok(connection),
                Err(error) if is_connection_over(&error) => {}
                Err(error) => return Err(failure(Phase::Sender, &error)),
            }
        }
        let mut connection = self.connections.connect().await?;
        let parameters = parameters(&connection, mail)?;
        let from = MailFrom::new(mail.envelope.from().cloned(), parameters);
        match connection.command(from).await {
            Ok(_) => Ok(connection),
            Err(error) => Err(failure(Phase::Sender, &error)),
        }
    }
}

impl Provider for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

/// What the server has to know beforehand. Everything but addresses is written in ASCII.
fn parameters(
    connection: &AsyncSmtpConnection,
    mail: &Mail,
) -> Result<Vec<MailParameter>, Failure> {
    if mail.is_ascii() {
        return Ok(Vec::new());
    }
    if connection
        .server_info()
        .supports_feature(Extension::SmtpUtfEight)
    {
        Ok(vec![MailParameter::SmtpUtfEight])
    } else {
        Err(Failure::Malformed(
            "the server takes only addresses in ASCII".to_owned(),
        ))
    }
}

async fn transfer(
    connection: &mut AsyncSmtpConnection,
    mail: &Mail,
    handover: &Handover,
) -> Result<(), (Phase, lettre::transport::smtp::Error)> {
    for recipient in mail.envelope.to() {
        let command = Rcpt::new(recipient.clone(), Vec::new());
        let answer = connection.command(command).await;
        answer.map_err(|error| (Phase::Recipient, error))?;
    }
    let answer = connection.command(Data).await;
    answer.map_err(|error| (Phase::Data, error))?;
    handover.begin();
    let answer = connection.message(&mail.bytes).await;
    answer.map_err(|error| (Phase::Content, error))?;
    Ok(())
}
