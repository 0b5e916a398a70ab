//! The tree of objects that a service shows: paths, their interfaces, their properties.

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};
use rustbus::wire::errors::MarshalError;
use rustbus::wire::marshal::MarshalContext;
use rustbus::wire::marshal::traits::SignatureBuffer;
use rustbus::{Marshal, Signature, signature};

/// The value of a property, of the types that the services use.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `b`
    Flag(bool),
    /// `d`
    Number(f64),
    /// `t`
    Count(u64),
}

impl Value {
    /// D-Bus signature of the value itself.
    fn signature_text(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Flag(_) => "b",
            Self::Number(_) => "d",
            Self::Count(_) => "t",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// On the bus a value travels as a variant.
impl Signature for Value {
    fn signature() -> signature::Type {
        signature::Type::Container(signature::Container::Variant)
    }

    fn alignment() -> usize {
        Self::signature().get_alignment()
    }

    fn sig_str(buffer: &mut SignatureBuffer) {
        buffer.push_static("v");
    }

    fn has_sig(signature: &str) -> bool {
        signature.starts_with('v')
    }
}

impl Marshal for Value {
    fn marshal(&self, context: &mut MarshalContext) -> Result<(), MarshalError> {
        match self {
            Self::Text(value) => value.marshal_as_variant(context),
            Self::Texts(value) => value.marshal_as_variant(context),
            Self::Flag(value) => value.marshal_as_variant(context),
            Self::Number(value) => Double(*value).marshal_as_variant(context),
            Self::Count(value) => value.marshal_as_variant(context),
        }
    }
}

/// `d`, which rustbus 0.19 knows as a type but not as an `f64`.
struct Double(f64);

impl Signature for Double {
    fn signature() -> signature::Type {
        signature::Type::Base(signature::Base::Double)
    }

    fn alignment() -> usize {
        Self::signature().get_alignment()
    }

    fn sig_str(buffer: &mut SignatureBuffer) {
        buffer.push_static("d");
    }

    fn has_sig(signature: &str) -> bool {
        signature.starts_with('d')
    }
}

/// Aligned and ordered as the integer of the same bits (D-Bus specification, "Marshaling").
impl Marshal for Double {
    fn marshal(&self, context: &mut MarshalContext) -> Result<(), MarshalError> {
        self.0.to_bits().marshal(context)
    }
}

/// Who may change a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The service only.
    Read,
    /// Callers as well.
    ReadWrite,
}

#[derive(Debug)]
struct Property {
    value: Value,
    access: Access,
}

/// Properties of an interface by name.
pub type Values = BTreeMap<String, Value>;

/// Why a property cannot be had; each has its own D-Bus error name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No such object.
    Object,
    /// No such interface there.
    Interface,
    /// No such property there.
    Property,
}

/// Objects by path, interfaces by name, properties by name.
#[derive(Debug, Default)]
pub struct Objects {
    objects: BTreeMap<String, BTreeMap<String, BTreeMap<String, Property>>>,
}

impl Objects {
    /// Adds a property, with its object and interface where they are new.
    pub fn add(&mut self, path: &str, interface: &str, name: &str, access: Access, value: Value) {
        let object = self.objects.entry(path.to_owned()).or_default();
        let properties = object.entry(interface.to_owned()).or_default();
        properties.insert(name.to_owned(), Property { value, access });
    }

    /// Takes new values over; answers those that are different now. Unknown properties are left out.
    pub fn update(&mut self, path: &str, interface: &str, values: Values) -> Values {
        let Some(properties) = self
            .objects
            .get_mut(path)
            .and_then(|object| object.get_mut(interface))
        else {
            return Values::new();
        };
        values
            .into_iter()
            .filter(|(name, value)| match properties.get_mut(name) {
                Some(property) if property.value != *value => {
                    property.value = value.clone();
                    true
                }
                _ => false,
            })
            .collect()
    }

    /// A property's value and who may change it.
    pub fn get(&self, path: &str, interface: &str, name: &str) -> Result<(&Value, Access), Missing> {
        let property = self
            .properties(path, interface)?
            .get(name)
            .ok_or(Missing::Property)?;
        Ok((&property.value, property.access))
    }

    /// All properties of an interface.
    pub fn get_all(&self, path: &str, interface: &str) -> Result<Values, Missing> {
        let properties = self.properties(path, interface)?;
        Ok(properties
            .iter()
            .map(|(name, property)| (name.clone(), property.value.clone()))
            .collect())
    }

    fn properties(&self, path: &str, interface: &str) -> Result<&BTreeMap<String, Property>, Missing> {
        let object = self.objects.get(path).ok_or(Missing::Object)?;
        object.get(interface).ok_or(Missing::Interface)
    }

    /// Names of the nodes right beneath a path.
    fn children(&self, path: &str) -> Vec<&str> {
        let parent = path.trim_end_matches('/');
        let mut names: Vec<&str> = self
            .objects
            .keys()
            .filter_map(|known| known.strip_prefix(parent)?.strip_prefix('/')?.split('/').next())
            .filter(|name| !name.is_empty())
            .collect();
        names.dedup();
        names
    }

    /// The introspection document of a node (D-Bus specification, "Introspection Data Format"); none when nothing is
    /// there nor beneath.
    pub fn introspect(&self, path: &str) -> io::Result<Option<String>> {
        let children = self.children(path);
        let object = self.objects.get(path);
        if object.is_none() && children.is_empty() {
            return Ok(None);
        }
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::DocType(BytesText::from_escaped(DOCTYPE)))?;
        writer.create_element("node").write_inner_content(|writer| {
            for (interface, properties) in object.into_iter().flatten() {
                write_interface(writer, interface, properties)?;
            }
            for child in children {
                writer
                    .create_element("node")
                    .with_attribute(("name", child))
                    .write_empty()?;
            }
            Ok(())
        })?;
        Ok(Some(String::from_utf8_lossy(&writer.into_inner()).into_owned()))
    }
}

/// As the D-Bus specification asks for.
const DOCTYPE: &str = "node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\" \
                       \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\"";

fn write_interface(
    writer: &mut Writer<Vec<u8>>,
    interface: &str,
    properties: &BTreeMap<String, Property>,
) -> io::Result<()> {
    writer
        .create_element("interface")
        .with_attribute(("name", interface))
        .write_inner_content(|writer| {
            for (name, property) in properties {
                let access = match property.access {
                    Access::Read => "read",
                    Access::ReadWrite => "readwrite",
                };
                let attributes = [
                    ("name", name.as_str()),
                    ("type", property.value.signature_text()),
                    ("access", access),
                ];
                writer
                    .create_element("property")
                    .with_attributes(attributes)
                    .write_empty()?;
            }
            Ok(())
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_fans() -> Objects {
        let mut objects = Objects::default();
        for fan in ["/a/fan0", "/a/fan1"] {
            objects.add(fan, "x.Value", "Value", Access::Read, Value::Number(1.0));
            objects.add(fan, "x.Value", "Wanted", Access::ReadWrite, Value::Count(2));
        }
        objects
    }

    #[test]
    fn an_update_answers_only_what_is_different() {
        let mut objects = two_fans();
        let values = [
            ("Value", Value::Number(3.0)),
            ("Wanted", Value::Count(2)),
            ("Other", Value::Flag(true)),
        ];
        let values: Values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let changed = objects.update("/a/fan1", "x.Value", values);
        assert_eq!(changed, Values::from([("Value".to_owned(), Value::Number(3.0))]));
        assert_eq!(
            objects.get("/a/fan1", "x.Value", "Value"),
            Ok((&Value::Number(3.0), Access::Read))
        );
        assert_eq!(
            objects.get("/a/fan0", "x.Value", "Value"),
            Ok((&Value::Number(1.0), Access::Read))
        );
    }

    #[test]
    fn introspection_leads_from_the_root_to_the_properties() {
        let objects = two_fans();
        let root = objects.introspect("/").unwrap().unwrap();
        assert!(root.contains("<node name=\"a\"/>"), "{root}");
        let folder = objects.introspect("/a").unwrap().unwrap();
        assert!(
            folder.contains("<node name=\"fan0\"/>") && folder.contains("<node name=\"fan1\"/>"),
            "{folder}"
        );
        let fan = objects.introspect("/a/fan0").unwrap().unwrap();
        assert!(
            fan.contains("<property name=\"Wanted\" type=\"t\" access=\"readwrite\"/>"),
            "{fan}"
        );
        assert_eq!(objects.introspect("/b").unwrap(), None);
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let objects = two_fans();
        assert_eq!(
            objects.get("/b", "x.Value", "Value").unwrap_err(),
            Missing::Object
        );
        assert_eq!(
            objects.get("/a/fan0", "y", "Value").unwrap_err(),
            Missing::Interface
        );
        assert_eq!(
            objects.get("/a/fan0", "x.Value", "v").unwrap_err(),
            Missing::Property
        );
    }
}
