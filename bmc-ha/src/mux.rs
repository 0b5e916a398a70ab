//! The mux, by the word of this BMC's hardware.

use ocf_agents::hardware::command::CommandMux;
use ocf_agents::hardware::file::FileMux;
use ocf_agents::hardware::{HardwareError, Mux};

use crate::cluster::configuration::Primitive;

/// Why the hardware's word is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MuxError {
    /// No resource says where the mux is.
    #[error("read the mux: the cluster's configuration has no mux")]
    Unconfigured,
    /// The resource does not say it well.
    #[error("read the mux: resource {resource} has no {parameter}")]
    Parameter {
        /// The resource.
        resource: String,
        /// What is missing.
        parameter: &'static str,
    },
    /// There is no such backend.
    #[error("read the mux: resource {resource}: mux_backend={backend} is not one of file, command")]
    Backend {
        /// The resource.
        resource: String,
        /// The backend.
        backend: String,
    },
    /// It cannot be read.
    #[error("read the mux: {0}")]
    Hardware(#[from] HardwareError),
}

/// Whether this BMC holds the mux, by the parameters of the cluster's mux resource.
pub(crate) fn held_here(mux: Option<&Primitive>) -> Result<bool, MuxError> {
    let resource = mux.ok_or(MuxError::Unconfigured)?;
    Ok(backend(resource)?.is_held()?)
}

fn backend(resource: &Primitive) -> Result<Box<dyn Mux>, MuxError> {
    let parameter = |name: &'static str| {
        resource.parameters.get(name).ok_or_else(|| MuxError::Parameter {
            resource: resource.id.clone(),
            parameter: name,
        })
    };
    let backend = resource
        .parameters
        .get("mux_backend")
        .map_or("file", String::as_str);
    match backend {
        "file" => Ok(Box::new(FileMux::read_only(parameter("mux_grant_file")?))),
        "command" => Ok(Box::new(CommandMux {
            program: parameter("mux_command")?.into(),
        })),
        other => Err(MuxError::Backend {
            resource: resource.id.clone(),
            backend: other.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(parameters: &[(&str, &str)]) -> Primitive {
        let owned = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Primitive {
            id: "mux".to_owned(),
            parameters: owned.collect(),
        }
    }

    #[test]
    fn the_grant_file_says_who_holds_the_mux() {
        let folder = tempfile::tempdir().unwrap();
        let grant = folder.path().join("grant");
        for (content, held) in [("1\n", true), ("0\n", false)] {
            std::fs::write(&grant, content).unwrap();
            let resource = resource(&[("mux_grant_file", grant.to_str().unwrap())]);
            assert_eq!(held_here(Some(&resource)).unwrap(), held);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |resource: Option<&Primitive>| held_here(resource).unwrap_err().to_string();
        assert!(error(None).contains("has no mux"));
        assert!(error(Some(&resource(&[]))).contains("has no mux_grant_file"));
        assert!(error(Some(&resource(&[("mux_backend", "gpio")]))).contains("mux_backend=gpio"));
        let absent = resource(&[("mux_grant_file", "/no/such/grant")]);
        assert!(error(Some(&absent)).contains("/no/such/grant"));
    }
}
