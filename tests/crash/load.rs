//! Clients that write as fast as they are answered, and remember what they were told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process::API_KEY;
use crate::random::Random;

const USERS_PER_CLIENT: usize = 6;

/// A mark is written with every change and found again in the export. It starts with this.
pub(crate) const MARK: &str = "mark-";

/// What the clients of one load know, each about its own users.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) users: HashMap<String, UserState>,
    /// Answers that no request of ours should get.
    pub(crate) surprises: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Acknowledged {
    /// Absent for a deletion and for an audience, which leave no mark of their own.
    pub(crate) mark: Option<String>,
    pub(crate) position: u64,
}

/// What may stand in a user's profile.
#[derive(Debug, Default)]
pub(crate) struct UserState {
    pub(crate) acknowledged: Shown,
    /// What an unanswered request may have made of it.
    pub(crate) attempted: Option<Shown>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    #[default]
    NoProfile,
    Mark(String),
}

impl Journal {
    pub(crate) fn highest_position(&self) -> u64 {
        self.acknowledged
            .iter()
            .map(|write| write.position)
            .max()
            .unwrap_or(0)
    }

    fn absorb(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.users.extend(other.users);
        self.surprises.extend(other.surprises);
    }
}

pub(crate) struct Load {
    clients: Vec<JoinHandle<Journal>>,
    answers: Receiver<()>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn start(url: &str, clients: usize, random: &mut Random) -> Self {
        static LOADS: AtomicUsize = AtomicUsize::new(0);
        let (sender, answers) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let clients = (0..clients)
            .map(|number| {
                let mut client = Client {
                    connection: Connection::new(url),
                    name: format!("{load}-{number}"),
                    random: Random::new(random.next()),
                    journal: Journal::default(),
                    marks: 0,
                };
                let (sender, is_over) = (sender.clone(), Arc::clone(&is_over));
                thread::spawn(move || {
                    client.write_until(&is_over, &sender);
                    client.journal
                })
            })
            .collect();
        Self {
            clients,
            answers,
            is_over,
        }
    }

    /// Waits for so many answers; `false` if the server is gone before.
    pub(crate) fn wait_for(&self, answers: usize) -> Result<bool> {
        let deadline = Instant::now() + Duration::from_mins(2);
        for _ in 0..answers {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(false),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("the server answers no more"),
            }
        }
        Ok(true)
    }

    pub(crate) fn finish(self) -> Journal {
        self.is_over.store(true, Ordering::Relaxed);
        let mut journal = Journal::default();
        for client in self.clients {
            journal.absorb(client.join().expect("clients do not panic"));
        }
        journal
    }
}

/// One keep-alive connection with its credential.
pub(crate) struct Connection {
    agent: ureq::Agent,
    url: String,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) position: u64,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Reply> {
        reply(
            self.agent
                .get(self.at(path))
                .header("authorization", bearer())
                .call()?,
        )
    }

    /// As a request that takes effect once.
    pub(crate) fn post_once(&self, path: &str, body: &Value, key: &str) -> Result<Reply> {
        reply(
            self.agent
                .post(self.at(path))
                .header("authorization", bearer())
                .header("idempotency-key", key)
                .send_json(body)?,
        )
    }

    fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        reply(
            self.agent
                .put(self.at(path))
                .header("authorization", bearer())
                .send_json(body)?,
        )
    }

    fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        reply(
            self.agent
                .post(self.at(path))
                .header("authorization", bearer())
                .send_json(body)?,
        )
    }

    fn delete(&self, path: &str) -> Result<Reply> {
        reply(
            self.agent
                .delete(self.at(path))
                .header("authorization", bearer())
                .call()?,
        )
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

struct Client {
    connection: Connection,
    name: String,
    random: Random,
    journal: Journal,
    marks: usize,
}

impl Client {
    fn write_until(&mut self, is_over: &AtomicBool, answered: &Sender<()>) {
        while !is_over.load(Ordering::Relaxed) {
            match self.write_once() {
                Ok(()) => {
                    if answered.send(()).is_err() {
                        return;
                    }
                }
                // The server is gone, which is what these tests are about.
                Err(_) => return,
            }
        }
    }

    fn write_once(&mut self) -> Result<()> {
        let user = format!("user-{}-{}", self.name, self.random.below(USERS_PER_CLIENT));
        self.marks += 1;
        let mark = format!("{MARK}{}-{}", self.name, self.marks);
        match self.random.below(100) {
            0..40 => {
                let seen = since_1970().as_millis().to_string();
                let profile =
                    json!({"profile": {"mark": mark, "seen": seen, "filler": self.filler()}});
                self.attempt(&user, Shown::Mark(mark.clone()));
                let reply = self
                    .connection
                    .put(&format!("/profiles/{user}"), &profile)?;
                self.settle(&user, Some(mark), &reply);
            }
            40..60 => {
                let profile = json!({"profile": {"mark": mark}});
                self.attempt(&user, Shown::Mark(mark.clone()));
                let reply = self
                    .connection
                    .post(&format!("/profiles/{user}"), &profile)?;
                self.settle(&user, Some(mark), &reply);
            }
            60..65 => {
                self.attempt(&user, Shown::NoProfile);
                let reply = self.connection.delete(&format!("/profiles/{user}"))?;
                self.settle(&user, None, &reply);
            }
            65..70 => {
                let number = self.random.below(3);
                let path = format!("/audiences/audience-{}-{number}", self.name);
                let rule = self.rule();
                let reply = self.connection.put(&path, &json!({"filter": rule}))?;
                // It has no mark: what it must do is in the digest.
                self.note(None, &reply);
            }
            70..75 => {
                let parent = format!("tenant-{}-{}", self.name, self.random.below(3));
                let tenant = format!("/tenants/tenant-{}", self.name);
                let body = json!({"name": mark, "parent_tenant_id": parent});
                let reply = self.connection.put(&tenant, &body)?;
                self.note(Some(mark), &reply);
            }
            75..85 => {
                let count = self.random.between(2, 20);
                let row = |number: usize| {
                    json!({
                        "user_id": bulk_recipient(&mark, count, number),
                        "profile": {"seen": since_1970().as_millis().to_string()},
                        "lists": [format!("list-{}", self.name)],
                        "tenants": [format!("tenant-{}", self.name)],
                        "tokens": [{"token": "t", "provider_key": "apn", "expiry_date": soon()}],
                    })
                };
                let users: Vec<Value> = (0..count).map(row).collect();
                let reply = self
                    .connection
                    .post("/v1/users:batch", &json!({"users": users}))?;
                self.note(Some(bulk_recipient(&mark, count, 0)), &reply);
            }
            85..88 => {
                // Not of a user whose profile is looked at: with a token one has an empty one.
                let path = format!("/users/{mark}/tokens/t");
                let body = json!({"provider_key": "apn", "expiry_date": soon()});
                let reply = self.connection.put(&path, &body)?;
                self.note(Some(mark), &reply);
            }
            88..90 => {
                let tenant = format!("/tenants/tenant-{}-{}", self.name, self.random.below(3));
                let reply = self.connection.put(&tenant, &json!({"name": mark}))?;
                self.note(Some(mark), &reply);
            }
            90..93 => {
                let path = format!("/lists/list-{}/subscriptions/{mark}", self.name);
                let reply = self.connection.put(&path, &json!({}))?;
                self.note(Some(mark), &reply);
            }
            _ => {
                let count = match self.random.below(20) {
                    // More than one event holds, and more than a block does.
                    0 => self.random.between(1_001, 1_500),
                    _ => self.random.between(2, 40),
                };
                let recipients: Vec<Value> = (0..count)
                    .map(|number| json!({"recipientId": bulk_recipient(&mark, count, number)}))
                    .collect();
                let path = format!("/lists/list-{}/subscriptions", self.name);
                let reply = self
                    .connection
                    .post(&path, &json!({"recipients": recipients}))?;
                self.note(Some(bulk_recipient(&mark, count, 0)), &reply);
            }
        }
        Ok(())
    }

    /// About what the clients write: their profiles, their lists, and time that passes.
    fn rule(&mut self) -> Value {
        let list = format!("list-{}", self.name);
        let leaves = [
            json!({"operator": "CONTAINS", "path": "mark", "value": self.random.below(10)}),
            json!({"operator": "MEMBER_OF", "path": "list", "value": list}),
            json!({"operator": "WITHIN_LAST", "path": "seen", "value": "PT0.2S"}),
            json!({"operator": "OMIT", "path": "filler", "value": "ab"}),
            json!({"operator": "MEMBER_OF", "path": "tenant_tree", "value": format!("tenant-{}-1", self.name)}),
        ];
        let two = [self.random.below(5), self.random.below(5)].map(|leaf| leaves[leaf].clone());
        json!({"operator": if self.random.percent(50) { "AND" } else { "OR" }, "filters": two})
    }

    /// Mostly small; sometimes larger than a block, which then spans several.
    fn filler(&mut self) -> String {
        let length = match self.random.below(20) {
            0 => self.random.between(20_000, 120_000),
            _ => self.random.between(0, 600),
        };
        // Letters in no pattern, so that compression does not make a long value short.
        let letter = |_| char::from(b'a' + u8::try_from(self.random.below(26)).expect("small"));
        (0..length).map(letter).collect()
    }

    fn attempt(&mut self, user: &str, shown: Shown) {
        let state = self.journal.users.entry(user.to_owned()).or_default();
        state.attempted = Some(shown);
    }

    fn settle(&mut self, user: &str, mark: Option<String>, reply: &Reply) {
        if self.note(mark.clone(), reply) {
            let state = self.journal.users.entry(user.to_owned()).or_default();
            *state = UserState {
                acknowledged: mark.map_or(Shown::NoProfile, Shown::Mark),
                attempted: None,
            };
        }
    }

    fn note(&mut self, mark: Option<String>, reply: &Reply) -> bool {
        let succeeded = (200..300).contains(&reply.status);
        if succeeded {
            self.journal.acknowledged.push(Acknowledged {
                mark,
                position: reply.position,
            });
        } else {
            self.journal
                .surprises
                .push(format!("{}: {}", reply.status, reply.body));
        }
        succeeded
    }
}

/// The name of each says how many there are, so that an export shows a command cut in two.
fn bulk_recipient(mark: &str, count: usize, number: usize) -> String {
    format!("{mark}+{number}of{count}")
}

/// The command and its number of recipients, from the name of one.
pub(crate) fn bulk_command(recipient: &str) -> Option<(&str, usize)> {
    let (mark, rest) = recipient.split_once('+')?;
    let (_, count) = rest.split_once("of")?;
    Some((mark, count.parse().ok()?))
}

/// So soon that it passes while the test runs.
fn soon() -> String {
    let at = since_1970() + Duration::from_millis(400);
    let nanoseconds = u64::try_from(at.as_nanos()).expect("before 2554");
    types::Timestamp(nanoseconds).to_string()
}

fn since_1970() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the clients live in real time")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .expect("it is later than 1970")
}

fn bearer() -> String {
    format!("Bearer {API_KEY}")
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Result<Reply> {
    let position = response
        .headers()
        .get("muster-position")
        .context("Muster-Position is on every answer")?;
    let position = position.to_str()?.parse()?;
    let status = response.status().as_u16();
    // Read to the end, or the connection is not used again.
    let body = response.body_mut().read_to_string()?;
    Ok(Reply {
        status,
        position,
        body,
    })
}
