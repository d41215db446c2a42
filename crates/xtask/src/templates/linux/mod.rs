//! "OomWatch Linux": memory, OOM kills, processes, memory cgroups and services by discovery, and the plugin itself.
//!
//! Each module has the items, triggers, macros and discovery rule of one subject. [`template`] joins them.

mod access;
mod cgroups;
mod dashboard;
mod kernel;
mod kills;
mod largest;
mod memory;
mod plugin;
mod processes;
mod services;

use super::common::yes_no;
use super::model::{Check, Template, sorted, text};

pub(crate) fn template(check: Check) -> Template {
    let macros = [
        memory::macros(),
        kills::macros(),
        plugin::macros(),
        processes::macros(),
        cgroups::macros(),
        services::macros(),
    ];
    let items = [
        kills::items(),
        memory::items(),
        kernel::items(),
        access::items(),
        plugin::items(),
        processes::items(),
        cgroups::items(),
        services::items(),
    ];
    let triggers =
        [kills::triggers(), memory::triggers(), kernel::triggers(), plugin::triggers(), access::triggers()];
    let description = text(
        "Detects memory exhaustion, OOM kills and the processes that use the memory, with the plugin OomWatch for Zabbix agent 2. \
         Most items depend on a few JSON values of the plugin. If a host has no swap, PSI or cgroups, the related items stay \
         empty. This is not an error.",
        "メモリ枯渇の予兆、OOM killer による強制終了、メモリを消費しているプロセスを、Zabbix エージェント 2 のプラグイン OomWatch で監視します。\
         ほとんどのアイテムは、プラグインが返す少数の JSON から作られる依存アイテムです。ホストにスワップ、PSI、cgroup がない場合、\
         関連するアイテムは値なしになります。これはエラーではありません。",
    );
    Template {
        class: "os",
        macros: sorted(macros.concat()),
        value_maps: [vec![yes_no()], kernel::value_maps(), services::value_maps()].concat(),
        items: items.concat(),
        triggers: triggers.concat(),
        discovery_rules: vec![processes::discovery(), cgroups::discovery(), services::discovery()],
        graphs: [memory::graphs(), kills::graphs()].concat(),
        dashboard: Some(dashboard::dashboard()),
        ..Template::empty("linux", check, "OomWatch Linux", "linux", description)
    }
}
