//! Commands to a Redis over its Unix socket, in plain RESP, for what the fixture itself has to say.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(i64),
    Nothing,
    List(Vec<Reply>),
    Error(String),
}

impl Reply {
    /// The text, or an empty one.
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// What an answer of `INFO`'s kind says under a name.
    pub fn field(&self, name: &str) -> &str {
        let mut lines = self.text().lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
    }
}

/// Sends commands, one after the other, and returns the answer to the last.
pub fn ask(socket: &Path, commands: &[&[&str]]) -> io::Result<Reply> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut reader = BufReader::new(stream);
    let mut last = Reply::Nothing;
    for words in commands {
        let mut message = format!("*{}\r\n", words.len()).into_bytes();
        for word in *words {
            message.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
        reader.get_mut().write_all(&message)?;
        last = reply(&mut reader)?;
    }
    Ok(last)
}

fn reply(reader: &mut BufReader<UnixStream>) -> io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let number = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    Ok(match kind {
        "+" => Reply::Text(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Number(number()?),
        "$" => match usize::try_from(number()?) {
            Err(_) => Reply::Nothing,
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                Reply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned())
            }
        },
        "*" => {
            let length = number()?;
            Reply::List((0..length).map(|_| reply(reader)).collect::<io::Result<_>>()?)
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    })
}
