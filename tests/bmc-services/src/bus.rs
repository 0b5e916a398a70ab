//! A small D-Bus server: owns one name, answers Properties, Introspectable and Peer, and announces changes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustbus::message_builder::{HeaderFlags, MarshalledMessage, MessageType};
use rustbus::wire::errors::{MarshalError, UnmarshalError};
use rustbus::wire::unmarshal::traits::Variant;
use rustbus::{MessageBuilder, standard_messages};

use crate::connection::{ConnectionError, Receiver, Sender, connect};
use crate::objects::{Access, Missing, Objects, Value, Values};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";

/// Flag of RequestName: fail rather than wait for the name (D-Bus specification).
const DO_NOT_QUEUE: u32 = 4;
/// Answer of RequestName: the name is ours.
const PRIMARY_OWNER: u32 = 1;

/// Why the bus cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus cannot be reached or the connection broke.
    #[error("{action} on D-Bus: {source}")]
    Connection {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: ConnectionError,
    },
    /// A message cannot be built.
    #[error("build a D-Bus message: {0}")]
    Marshal(#[from] MarshalError),
    /// The bus answered something else than a name's state.
    #[error("own {name} on D-Bus: {cause}")]
    Name {
        /// The name.
        name: String,
        /// Why it is not ours.
        cause: String,
    },
    /// The connection ended.
    #[error("serve D-Bus: the connection ended")]
    Ended,
}

fn during(action: &'static str) -> impl Fn(ConnectionError) -> BusError {
    move |source| BusError::Connection { action, source }
}

/// An error answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// D-Bus error name.
    pub name: &'static str,
    /// For people.
    pub text: String,
}

impl Fault {
    /// The arguments make no sense.
    pub fn invalid_args(text: String) -> Self {
        Self {
            name: "org.freedesktop.DBus.Error.InvalidArgs",
            text,
        }
    }

    /// It was tried and did not succeed.
    pub fn failed(text: String) -> Self {
        Self {
            name: "org.freedesktop.DBus.Error.Failed",
            text,
        }
    }

    fn missing(missing: Missing, what: &str) -> Self {
        let name = match missing {
            Missing::Object => "org.freedesktop.DBus.Error.UnknownObject",
            Missing::Interface => "org.freedesktop.DBus.Error.UnknownInterface",
            Missing::Property => "org.freedesktop.DBus.Error.UnknownProperty",
        };
        Self {
            name,
            text: format!("{what} is not here"),
        }
    }

    fn unknown_method(text: String) -> Self {
        Self {
            name: "org.freedesktop.DBus.Error.UnknownMethod",
            text,
        }
    }
}

impl From<UnmarshalError> for Fault {
    fn from(error: UnmarshalError) -> Self {
        Self::invalid_args(format!("arguments: {error}"))
    }
}

impl From<MarshalError> for Fault {
    fn from(error: MarshalError) -> Self {
        Self::failed(format!("build the answer: {error}"))
    }
}

/// Decides about a caller's wish to set a property: its path, interface and name, and the text it wants there.
/// Every writable property of these services is a text.
pub type Setter = Box<dyn Fn(&str, &str, &str, &str) -> Result<(), Fault> + Send>;

/// A connection that is being served.
pub struct Bus {
    shared: Arc<Shared>,
    serving: JoinHandle<BusError>,
}

struct Shared {
    objects: Mutex<Objects>,
    send: Mutex<Sender>,
}

impl Bus {
    /// Connects, owns the name and serves the objects on a thread of its own.
    pub fn serve(socket: &Path, name: &str, objects: Objects, setter: Setter) -> Result<Self, BusError> {
        let (mut send, mut receive) = connect(socket).map_err(during("connect"))?;
        own(&mut send, &mut receive, name)?;
        let shared = Arc::new(Shared {
            objects: Mutex::new(objects),
            send: Mutex::new(send),
        });
        let served = Arc::clone(&shared);
        let serving = thread::spawn(move || served.answer_all(receive, &setter));
        Ok(Self { shared, serving })
    }

    /// Takes new values over and announces those that are different now.
    pub fn update(&self, path: &str, interface: &str, values: Values) -> Result<(), BusError> {
        self.shared.update(path, interface, values)
    }

    /// Fails once the connection has ended: a service that nobody can see is of no use.
    pub fn check(&self) -> Result<(), BusError> {
        if self.serving.is_finished() {
            Err(BusError::Ended)
        } else {
            Ok(())
        }
    }
}

/// Says hello, which a bus wants to hear first, and requests the name.
fn own(send: &mut Sender, receive: &mut Receiver, name: &str) -> Result<(), BusError> {
    let mut call = |message: &MarshalledMessage| {
        let serial = send.send(message)?;
        receive.receive_answer(serial)
    };
    call(&standard_messages::hello()).map_err(during("say hello"))?;
    let request = standard_messages::request_name(name, DO_NOT_QUEUE);
    let answer = call(&request).map_err(during("request the name"))?;
    let mut arguments = answer.body.parser();
    let cause = match answer.typ {
        MessageType::Error => arguments.get::<String>().unwrap_or_default(),
        _ => match arguments.get::<u32>() {
            Ok(PRIMARY_OWNER) => return Ok(()),
            Ok(_) => "somebody else owns it".into(),
            Err(error) => format!("the answer is not understood: {error}"),
        },
    };
    Err(BusError::Name {
        name: name.to_owned(),
        cause,
    })
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &MarshalledMessage) -> Result<(), ConnectionError> {
        let mut send = self.send.lock().unwrap_or_else(PoisonError::into_inner);
        send.send(message).map(drop)
    }

    fn update(&self, path: &str, interface: &str, values: Values) -> Result<(), BusError> {
        let changed = self.objects().update(path, interface, values);
        if changed.is_empty() {
            return Ok(());
        }
        let mut signal = MessageBuilder::new()
            .signal(PROPERTIES, "PropertiesChanged", path)
            .build();
        let changed: std::collections::HashMap<String, Value> = changed.into_iter().collect();
        let invalidated: [String; 0] = [];
        signal
            .body
            .push_param3(interface, &changed, invalidated.as_slice())?;
        self.send(&signal).map_err(during("announce a change"))
    }

    /// Answers calls until the connection ends.
    fn answer_all(&self, mut receive: Receiver, setter: &Setter) -> BusError {
        loop {
            let call = match receive.receive() {
                Ok(message) if message.typ == MessageType::Call => message,
                Ok(_) => continue,
                Err(error) => return during("receive")(error),
            };
            let answer = self
                .answer(&call, setter)
                .unwrap_or_else(|fault| error_answer(&call, fault));
            if HeaderFlags::NoReplyExpected.is_set(call.flags) {
                continue;
            }
            if let Err(error) = self.send(&answer) {
                return during("answer")(error);
            }
        }
    }

    fn answer(&self, call: &MarshalledMessage, setter: &Setter) -> Result<MarshalledMessage, Fault> {
        let header = &call.dynheader;
        let path = header.object.as_deref().unwrap_or_default();
        let interface = header.interface.as_deref().unwrap_or_default();
        let member = header.member.as_deref().unwrap_or_default();
        let mut arguments = call.body.parser();
        let mut answer = header.make_response();
        match (interface, member) {
            (PROPERTIES, "Get") => {
                let (interface, name) = arguments.get2::<&str, &str>()?;
                answer.body.push_param(self.get(path, interface, name)?.0)?;
            }
            (PROPERTIES, "GetAll") => {
                let interface = arguments.get::<&str>()?;
                let values = self.objects().get_all(path, interface);
                let values = values.map_err(|missing| {
                    Fault::missing(missing, &format!("interface {interface} of {path}"))
                })?;
                let values: std::collections::HashMap<String, Value> = values.into_iter().collect();
                answer.body.push_param(&values)?;
            }
            (PROPERTIES, "Set") => {
                let (interface, name, value) = arguments.get3::<&str, &str, Variant>()?;
                self.set(path, interface, name, &value, setter)?;
            }
            (INTROSPECTABLE, "Introspect") => answer.body.push_param(self.introspect(path)?)?,
            (PEER, "Ping") => {}
            _ => {
                return Err(Fault::unknown_method(format!(
                    "{interface}.{member} on {path} is not here"
                )));
            }
        }
        Ok(answer)
    }

    fn get(&self, path: &str, interface: &str, name: &str) -> Result<(Value, Access), Fault> {
        match self.objects().get(path, interface, name) {
            Ok((value, access)) => Ok((value.clone(), access)),
            Err(missing) => Err(Fault::missing(
                missing,
                &format!("property {interface}.{name} of {path}"),
            )),
        }
    }

    fn set(
        &self,
        path: &str,
        interface: &str,
        name: &str,
        value: &Variant,
        setter: &Setter,
    ) -> Result<(), Fault> {
        if self.get(path, interface, name)?.1 == Access::Read {
            return Err(Fault {
                name: "org.freedesktop.DBus.Error.PropertyReadOnly",
                text: format!("{name} cannot be set"),
            });
        }
        let text = value.get::<String>()?;
        setter(path, interface, name, &text)?;
        let values = Values::from([(name.to_owned(), Value::Text(text))]);
        self.update(path, interface, values)
            .map_err(|error| Fault::failed(error.to_string()))
    }

    fn introspect(&self, path: &str) -> Result<String, Fault> {
        let document = self
            .objects()
            .introspect(path)
            .map_err(|error| Fault::failed(error.to_string()))?;
        document.ok_or_else(|| Fault::missing(Missing::Object, path))
    }
}

/// rustbus 0.19 marks its error answers as replies.
fn error_answer(call: &MarshalledMessage, fault: Fault) -> MarshalledMessage {
    let mut answer = call.dynheader.make_error_response(fault.name, Some(fault.text));
    answer.typ = MessageType::Error;
    answer
}
