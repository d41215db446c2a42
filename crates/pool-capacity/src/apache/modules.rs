//! The modules of a server, and their names in `<IfModule>`.

use std::collections::HashSet;

use super::build::Build;

/// The built-in modules and those that were loaded so far.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// `ssl_module`.
    identifiers: HashSet<String>,
    /// `mod_ssl.c`.
    sources: HashSet<String>,
    /// The MPMs among them.
    mpms: Vec<String>,
}

/// Modules whose source file has another name than their shared object.
const SOURCES: [(&str, &str); 2] = [("ldap_module", "util_ldap.c"), ("mpm_itk_module", "mpm_itk.c")];
const MPMS: [&str; 6] = [
    "mpm_prefork_module",
    "mpm_worker_module",
    "mpm_event_module",
    "mpm_simple_module",
    "mpm_motorz_module",
    "mpm_winnt_module",
];

impl Modules {
    pub(super) fn of(build: &Build) -> Self {
        let mut modules = Self::default();
        build.sources.iter().for_each(|source| modules.add(&identifier(source), source.clone()));
        modules
    }

    /// Adds the module of a `LoadModule`, unless it is there already.
    pub(super) fn load(&mut self, identifier: &str, file: &str) {
        if !self.identifiers.contains(identifier) {
            self.add(identifier, source(identifier, file));
        }
    }

    fn add(&mut self, identifier: &str, source: String) {
        if MPMS.contains(&identifier) {
            self.mpms.push(identifier.to_owned());
        }
        self.identifiers.insert(identifier.to_owned());
        self.sources.insert(source);
    }

    /// Finds a module by either name, as in `<IfModule>`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.identifiers.contains(name) || self.sources.contains(name)
    }

    pub(super) fn mpms(&self) -> &[String] {
        &self.mpms
    }
}

/// Returns the name of the source file of a shared object.
fn source(identifier: &str, file: &str) -> String {
    if let Some((_, source)) = SOURCES.iter().find(|(name, _)| *name == identifier) {
        return (*source).to_owned();
    }
    if MPMS.contains(&identifier) {
        let name = identifier.trim_start_matches("mpm_").trim_end_matches("_module");
        return format!("{name}.c");
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = name.split(".so").next().unwrap_or(name);
    // libphp5.so, libphp7.4.so and libphp.so are made from mod_php5.c, mod_php7.c and mod_php.c.
    match stem.strip_prefix("libphp") {
        Some(version) => format!("mod_php{}.c", version.split('.').next().unwrap_or_default()),
        None => format!("{stem}.c"),
    }
}

/// Returns the name of a built-in module in `LoadModule` and `<IfModule>`.
fn identifier(source: &str) -> String {
    let stem = source.trim_end_matches(".c");
    match stem {
        "core" => "core_module".to_owned(),
        "http_core" => "http_module".to_owned(),
        "prefork" | "worker" | "event" => format!("mpm_{stem}_module"),
        _ => format!("{}_module", stem.trim_start_matches("mod_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_two_names() {
        let mut modules = Modules::of(&Build::debian_2_4());
        for (identifier, file) in [
            ("mpm_event_module", "/usr/lib/apache2/modules/mod_mpm_event.so"),
            ("php_module", "/usr/lib/apache2/modules/libphp8.2.so"),
            ("ssl_module", "modules/mod_ssl.so"),
            ("ldap_module", "modules/mod_ldap.so"),
        ] {
            modules.load(identifier, file);
        }
        for name in
            ["core.c", "so_module", "mpm_event_module", "event.c", "mod_php8.c", "mod_ssl.c", "util_ldap.c"]
        {
            assert!(modules.contains(name), "{name}");
        }
        for name in ["mod_mpm_event.c", "ssl", "prefork.c", "MOD_SSL.C"] {
            assert!(!modules.contains(name), "{name}");
        }
        assert_eq!(modules.mpms(), ["mpm_event_module"]);
    }
}
