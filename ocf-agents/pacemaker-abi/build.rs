//! Makes constants from Pacemaker's installed headers (Debian: pacemaker-dev).

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=wrapper.h");
    let pacemaker = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("pacemaker")
        .map_err(|error| format!("find Pacemaker's headers (Debian: pacemaker-dev): {error}"))?;
    let includes = pacemaker
        .include_paths
        .iter()
        .map(|path| format!("-I{}", path.display()));
    let bindings = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(includes)
        // Names only: nothing of Pacemaker is linked or called.
        .ignore_functions()
        .allowlist_type("ocf_exitcode")
        .allowlist_var("CRMD_ACTION_(START|STOP|STATUS|PROMOTE|DEMOTE|METADATA)")
        .allowlist_var("RSC_ROLE_(PROMOTED|UNPROMOTED)_S")
        .allowlist_var("CRM_META|PCMK_OCF_REASON_PREFIX|XML_ATTR_TIMEOUT|XML_LRM_ATTR_INTERVAL(_MS)?")
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .generate_cstr(true)
        .generate()?;
    let target = PathBuf::from(std::env::var("OUT_DIR")?).join("pacemaker.rs");
    bindings.write_to_file(target)?;
    Ok(())
}
