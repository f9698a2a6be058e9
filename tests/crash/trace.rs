//! What strace wrote, as system calls with the moments of their entry and exit.
//!
//! strace handles one stop of one thread at a time and writes a line as it does, so the lines are
//! in one true order: a call whose exit stands before another's entry was over before that began.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};

/// A place in the order of things: the number of a line of the trace.
pub(crate) type Moment = usize;

/// The calls that change files, move file offsets, answer clients, or would escape the model.
/// A question mark allows for calls that an architecture lacks.
pub(crate) const TRACED: &str = "?open,?creat,openat,?openat2,read,readv,lseek,write,pwrite64,\
    writev,pwritev,?pwritev2,fdatasync,fsync,?sync_file_range,ftruncate,truncate,fallocate,\
    ?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?link,linkat,?symlink,\
    symlinkat,close,?close_range,dup,?dup2,dup3,fcntl,sendto,sendmsg,?sendmmsg,copy_file_range,\
    sendfile,splice,mmap,msync,sync,syncfs,?io_uring_setup,?io_submit,chdir,fchdir,?fork,?vfork,\
    clone,?clone3";

/// One system call. Its arguments are kept as strace wrote them.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) entered: Moment,
    /// `None` when the trace ends before the call does.
    pub(crate) left: Option<Moment>,
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// Negative for an error and for a call that never ended.
    pub(crate) result: i64,
    /// strace answered in the kernel's place: the call did nothing.
    pub(crate) injected: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// In the order of their entry.
    pub(crate) calls: Vec<Call>,
    pub(crate) stop_signal: Option<Moment>,
    pub(crate) end: Moment,
}

impl Trace {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut trace = Self::default();
        let mut unfinished: HashMap<&str, (Moment, &str)> = HashMap::new();
        for (moment, line) in text.lines().enumerate() {
            trace.end = moment;
            let (thread, rest) = line.split_once(' ').context("a line names its thread")?;
            let rest = rest.trim_start();
            if rest.starts_with("--- SIGTERM") {
                trace.stop_signal.get_or_insert(moment);
            } else if rest.starts_with("---") || rest.starts_with("+++") {
                // Other signals and ends of threads change no file.
            } else if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, (moment, begun));
            } else if rest.starts_with("<... ") {
                let (_, end) = rest
                    .split_once(" resumed>")
                    .context("a resumed call is named")?;
                let (entered, begun) = unfinished
                    .remove(thread)
                    .context("a resumed call was begun")?;
                let whole = format!("{begun}{end}");
                trace.calls.push(
                    parse_call(&whole, entered, Some(moment))
                        .with_context(|| shortened("resumed call", &whole))?,
                );
            } else {
                trace.calls.push(
                    parse_call(rest, moment, Some(moment))
                        .with_context(|| shortened("call", rest))?,
                );
            }
        }
        for (entered, begun) in unfinished.into_values() {
            trace.calls.push(parse_call(begun, entered, None)?);
        }
        trace.calls.sort_by_key(|call| call.entered);
        Ok(trace)
    }
}

impl Call {
    pub(crate) fn argument(&self, index: usize) -> Result<&str> {
        self.arguments
            .get(index)
            .map(String::as_str)
            .with_context(|| format!("{} lacks argument {index}", self.name))
    }

    pub(crate) fn number(&self, index: usize) -> Result<i64> {
        let text = self.argument(index)?;
        text.parse()
            .with_context(|| format!("argument {index} of {} is `{text}`", self.name))
    }

    /// A string argument, unescaped.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        let text = self.argument(index)?;
        let mut bytes = Vec::new();
        unescape(text, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn path(&self, index: usize) -> Result<String> {
        String::from_utf8(self.bytes(index)?).context("a path is text")
    }

    /// The buffers of a vectored call, one after the other, wherever `iov_base` stands.
    pub(crate) fn vectors(&self, index: usize) -> Result<Vec<u8>> {
        let text = self.argument(index)?;
        let mut bytes = Vec::new();
        for part in text.split("iov_base=").skip(1) {
            unescape(part, &mut bytes)?;
        }
        Ok(bytes)
    }
}

fn parse_call(text: &str, entered: Moment, left: Option<Moment>) -> Result<Call> {
    let (name, rest) = text.split_once('(').context("a call has parentheses")?;
    let (arguments, after) = split_arguments(rest)?;
    let result = after.trim_start().strip_prefix('=').map(str::trim_start);
    ensure!(
        left.is_none() || result.is_some(),
        "a finished call has a result"
    );
    let result = result.unwrap_or("-1");
    let number = result.split(' ').next().unwrap_or_default();
    let number = match number.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).unwrap_or(i64::MAX),
        None => number.parse().unwrap_or(-1),
    };
    Ok(Call {
        entered,
        left,
        name: name.to_owned(),
        arguments,
        result: number,
        injected: result.ends_with("(INJECTED)"),
    })
}

/// The arguments up to the closing parenthesis, which an unfinished call lacks, and what follows.
fn split_arguments(text: &str) -> Result<(Vec<String>, &str)> {
    let bytes = text.as_bytes();
    let (mut depth, mut quoted, mut start, mut at) = (0_usize, false, 0, 0);
    let mut arguments = Vec::new();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                arguments.push(text[start..at].trim().to_owned());
                return Ok((arguments, &text[at + 1..]));
            }
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1).context("brackets come in pairs")?;
            }
            b',' if depth == 0 => {
                arguments.push(text[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    arguments.push(text[start..].trim().to_owned());
    Ok((arguments, ""))
}

/// Appends the quoted string at the start of `text`. strace runs with `-xx`: every byte is `\x..`.
fn unescape(text: &str, bytes: &mut Vec<u8>) -> Result<()> {
    let quoted = text
        .strip_prefix('"')
        .with_context(|| shortened("not a string", text))?;
    let (inner, after) = quoted.split_once('"').context("a string ends")?;
    ensure!(
        !after.starts_with("..."),
        "strace cut a string short: raise -s"
    );
    for escape in inner.as_bytes().chunks(4) {
        let [b'\\', b'x', high, low] = escape else {
            bail!("a byte is not written as \\x..");
        };
        let digit = |character: u8| char::from(character).to_digit(16).context("a digit");
        let byte = digit(*high)? * 16 + digit(*low)?;
        bytes.push(u8::try_from(byte).expect("two digits make a byte"));
    }
    Ok(())
}

fn shortened(what: &str, text: &str) -> String {
    format!("{what}: {}", text.chars().take(300).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_keeps_the_order_of_entries_and_exits() {
        let trace = Trace::parse(concat!(
            "7  pwrite64(3, \"\\x61\\x2c\", 2, 10 <unfinished ...>\n",
            "8  writev(9, [{iov_base=\"\\x62\", iov_len=1}, {iov_base=\"\\x63\", iov_len=1}], 2) = 2\n",
            "7  <... pwrite64 resumed>)  = 2\n",
            "7  --- SIGTERM {si_signo=SIGTERM} ---\n",
            "7  fdatasync(3) = 0 (INJECTED)\n",
            "7  fsync(3 <unfinished ...>\n",
            "7  +++ killed by SIGKILL +++\n",
        ))
        .unwrap();
        let seen: Vec<_> = trace
            .calls
            .iter()
            .map(|call| (call.name.as_str(), call.entered, call.left, call.injected))
            .collect();
        assert_eq!(
            seen,
            [
                ("pwrite64", 0, Some(2), false),
                ("writev", 1, Some(1), false),
                ("fdatasync", 4, Some(4), true),
                ("fsync", 5, None, false),
            ]
        );
        assert_eq!(trace.calls[0].bytes(1).unwrap(), b"a,");
        assert_eq!(trace.calls[1].vectors(1).unwrap(), b"bc");
        assert_eq!((trace.stop_signal, trace.end), (Some(3), 6));
    }

    #[test]
    fn a_string_cut_short_is_an_error() {
        let trace = Trace::parse("7  write(3, \"\\x61\"..., 9) = 9\n").unwrap();
        assert!(trace.calls[0].bytes(1).is_err());
    }
}
