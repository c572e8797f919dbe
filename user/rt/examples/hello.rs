//! The smallest program: logs a line and exits.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program {
    extern crate alloc;

    use sal_rt::abi::boot::Startup;
    use sal_rt::grants::Grants;

    sal_rt::entry!(main);

    fn main(startup: &'static Startup) {
        let names: alloc::vec::Vec<_> =
            Grants(startup).all().iter().map(|grant| alloc::string::String::from_utf8_lossy(grant.name())).collect();
        sal_rt::log::info!("incarnation {}, granted {:?}", startup.incarnation, names);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
