//! A small service class user that sends what it is told to, right or wrong (PS3.7, PS3.8).

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use filmroom_fixtures::Instance;

use crate::harness::{AE_TITLE, PATIENCE};

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
pub const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";

/// An association as requestor.
pub struct Scu {
    stream: TcpStream,
    /// Abstract and transfer syntax of each context, with odd numbers from 1; `None` where it was refused.
    contexts: Vec<(String, Option<String>)>,
    next_message: u16,
}

/// A PDU as it came.
#[derive(Debug)]
pub struct Pdu {
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Scu {
    /// Associates with one context for each pair of abstract and transfer syntax.
    ///
    /// # Errors
    /// When there is no association.
    pub fn associate(server: SocketAddr, contexts: &[(&str, &str)]) -> io::Result<Self> {
        let mut stream = connect(server)?;
        stream.write_all(&associate_rq(AE_TITLE, contexts))?;
        let answer = read_pdu(&mut stream)?;
        if answer.kind != 2 {
            return Err(wrong(format!("no association: {answer:?}")));
        }
        let contexts = contexts
            .iter()
            .zip(accepted(&answer.body))
            .map(|((class, _), syntax)| ((*class).to_owned(), syntax));
        Ok(Self {
            stream,
            contexts: contexts.collect(),
            next_message: 1,
        })
    }

    /// Associates for storing an instance, and for C-ECHO.
    ///
    /// # Errors
    /// When there is no association.
    pub fn associate_for(server: SocketAddr, instance: &Instance) -> io::Result<Self> {
        Self::associate(
            server,
            &[
                (VERIFICATION, IMPLICIT_LITTLE),
                (&instance.sop_class_uid, &instance.transfer_syntax_uid),
            ],
        )
    }

    /// C-ECHO: the status.
    ///
    /// # Errors
    /// When the association is lost.
    pub fn echo(&mut self) -> io::Result<u16> {
        let id = self.message_id();
        let command = command(&[
            (0x0002, uid(VERIFICATION)),
            (0x0100, us(0x0030)),
            (0x0110, us(id)),
            (0x0800, us(0x0101)),
        ]);
        let context = self.context(VERIFICATION)?;
        self.stream.write_all(&p_data(context, 3, &command))?;
        self.status()
    }

    /// C-STORE: the status.
    ///
    /// # Errors
    /// When the association is lost before the response.
    pub fn store(&mut self, instance: &Instance) -> io::Result<u16> {
        let id = self.message_id();
        let context = self.context(&instance.sop_class_uid)?;
        let command = store_command(id, &instance.sop_class_uid, &instance.sop_instance_uid);
        let mut bytes = p_data(context, 3, &command);
        let mut fragments = instance.data_set().chunks(16_000).peekable();
        while let Some(fragment) = fragments.next() {
            bytes.extend(p_data(
                context,
                if fragments.peek().is_none() { 2 } else { 0 },
                fragment,
            ));
        }
        self.stream.write_all(&bytes)?;
        self.status()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next PDU that comes.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn receive(&mut self) -> io::Result<Pdu> {
        read_pdu(&mut self.stream)
    }

    /// Releases the association.
    ///
    /// # Errors
    /// When the release is not answered.
    pub fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&pdu(5, &[0; 4]))?;
        let answer = read_pdu(&mut self.stream)?;
        if answer.kind == 6 {
            Ok(())
        } else {
            Err(wrong(format!("no release: {answer:?}")))
        }
    }

    fn message_id(&mut self) -> u16 {
        self.next_message += 1;
        self.next_message - 1
    }

    /// The number of the accepted context of an abstract syntax.
    ///
    /// # Errors
    /// When there is none.
    pub fn context(&self, abstract_syntax: &str) -> io::Result<u8> {
        self.contexts
            .iter()
            .position(|(class, syntax)| class == abstract_syntax && syntax.is_some())
            .map(|index| 2 * index as u8 + 1)
            .ok_or_else(|| wrong(format!("no context for {abstract_syntax}")))
    }

    /// Status of the next response (0000,0900).
    fn status(&mut self) -> io::Result<u16> {
        let answer = read_pdu(&mut self.stream)?;
        if answer.kind != 4 {
            return Err(wrong(format!("no response: {answer:?}")));
        }
        let at =
            memchr::memmem::find(&answer.body, &[0, 0, 0, 9, 2, 0, 0, 0]).ok_or_else(|| wrong("no status".into()))?;
        Ok(u16::from_le_bytes([answer.body[at + 8], answer.body[at + 9]]))
    }
}

/// A connection that gives up after a while.
///
/// # Errors
/// When nobody listens.
pub fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, Duration::from_secs(10))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one PDU.
///
/// # Errors
/// When the connection ends before it does.
pub fn read_pdu(stream: &mut impl Read) -> io::Result<Pdu> {
    let mut head = [0; 6];
    stream.read_exact(&mut head)?;
    let [kind, _, a, b, c, d] = head;
    let mut body = vec![0; u32::from_be_bytes([a, b, c, d]).min(1 << 24) as usize];
    stream.read_exact(&mut body)?;
    Ok(Pdu { kind, body })
}

/// A PDU of a kind.
pub fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A P-DATA-TF with one fragment; `control`: 1 for a command, 2 for the last of its message.
pub fn p_data(context: u8, control: u8, fragment: &[u8]) -> Vec<u8> {
    let mut body = ((fragment.len() + 2) as u32).to_be_bytes().to_vec();
    body.extend([context, control]);
    body.extend(fragment);
    pdu(4, &body)
}

/// An A-ASSOCIATE-RQ.
pub fn associate_rq(called: &str, contexts: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend(format!("{called:16}{:16}", "TESTSCU").bytes());
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    for (index, (abstract_syntax, transfer_syntax)) in contexts.iter().enumerate() {
        let mut context = vec![2 * index as u8 + 1, 0, 0, 0];
        context.extend(item(0x30, abstract_syntax.as_bytes()));
        context.extend(item(0x40, transfer_syntax.as_bytes()));
        body.extend(item(0x20, &context));
    }
    let mut user = item(0x51, &65_536u32.to_be_bytes());
    user.extend(item(0x52, b"2.25.1"));
    body.extend(item(0x50, &user));
    pdu(1, &body)
}

/// An item of an association PDU.
pub fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The transfer syntax of each context of an A-ASSOCIATE-AC.
fn accepted(body: &[u8]) -> Vec<Option<String>> {
    let mut contexts = Vec::new();
    let mut rest = body.get(68..).unwrap_or_default();
    while let [kind, _, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (item, next) = tail.split_at(length);
        if *kind == 0x21 && item.len() > 8 {
            let syntax = String::from_utf8_lossy(&item[8..]).trim_end_matches('\0').to_owned();
            contexts.push((item[2] == 0).then_some(syntax));
        } else if *kind == 0x21 {
            contexts.push(None);
        }
        rest = next;
    }
    contexts
}

/// A C-STORE-RQ.
pub fn store_command(message_id: u16, sop_class_uid: &str, sop_instance_uid: &str) -> Vec<u8> {
    command(&[
        (0x0002, uid(sop_class_uid)),
        (0x0100, us(0x0001)),
        (0x0110, us(message_id)),
        (0x0700, us(0)),
        (0x0800, us(1)),
        (0x1000, uid(sop_instance_uid)),
    ])
}

/// A command set of elements of group 0000, with its length.
pub fn command(elements: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut group = Vec::new();
    for (element, value) in elements {
        group.extend([0, 0]);
        group.extend(element.to_le_bytes());
        group.extend((value.len() as u32).to_le_bytes());
        group.extend(value);
    }
    let mut bytes = vec![0, 0, 0, 0, 4, 0, 0, 0];
    bytes.extend((group.len() as u32).to_le_bytes());
    bytes.extend(group);
    bytes
}

pub fn uid(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

pub fn us(number: u16) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
