//! Generates the bindings to Corosync's client libraries from the installed headers.

use std::env;
use std::error::Error;
use std::path::PathBuf;

/// The libraries, by the names of their pkg-config files.
const LIBRARIES: [&str; 3] = ["libcpg", "libcmap", "libquorum"];

/// The headers that declare what `src/corosync` calls.
const HEADERS: &str = "#include <corosync/cpg.h>\n#include <corosync/cmap.h>\n#include <corosync/quorum.h>\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut include_flags = Vec::new();
    for name in LIBRARIES {
        // Prints what the linker needs.
        let library = pkg_config::probe_library(name)?;
        include_flags.extend(
            library
                .include_paths
                .iter()
                .map(|path| format!("-I{}", path.display())),
        );
    }
    bindgen::Builder::default()
        .header_contents("corosync.h", HEADERS)
        .clang_args(include_flags)
        .allowlist_function("cpg_(model_initialize|finalize|fd_get|local_get|context_get|dispatch)")
        .allowlist_function("cpg_(join|mcast_joined|flow_control_state_get)")
        .allowlist_function("cmap_(initialize|finalize|get|get_uint32|iter_init|iter_next|iter_finalize)")
        .allowlist_function("quorum_(model_initialize|finalize|fd_get|context_get|dispatch|trackstart)")
        .allowlist_type("cs_error_t|cmap_value_types_t|cs_dispatch_flags_t|cpg_.*_t|quorum_model_v1_data_t")
        .allowlist_var("CPG_.*|CS_.*|CMAP_KEYNAME_MAXLEN")
        .prepend_enum_name(false)
        .layout_tests(false)
        .generate()?
        .write_to_file(PathBuf::from(env::var("OUT_DIR")?).join("corosync.rs"))?;
    Ok(())
}
