//! Libraries of functions in files and full syncs: they are part of the data.

use rivulet_scripting::{Identity, Libraries};

use super::host::LoadHost;
use super::{LIMIT_BYTES, Scripts};
use crate::REDIS_VERSION;
use crate::node::Node;
use crate::persist::load::LoadWhy;

impl Scripts {
    /// The texts of all libraries.
    pub fn codes(&self) -> Vec<Vec<u8>> {
        self.engine.iter().flat_map(|engine| engine.loaded().codes()).map(<[u8]>::to_vec).collect()
    }

    /// A load begins: what comes with it takes its place when it has ended well.
    pub fn load_begins(&mut self) {
        self.loading = None;
    }

    /// There are no libraries any more.
    pub fn forget_libraries(&mut self) {
        self.load_begins();
        self.load_ended();
    }

    /// What was loaded takes the place of what was there.
    pub fn load_ended(&mut self) {
        let loaded = self.loading.take();
        if loaded.is_none() && self.engine.is_none() {
            return;
        }
        let mut engine = self.take();
        drop(engine.replace_libraries(loaded.unwrap_or_else(none)));
        self.put_back(engine);
    }
}

fn none() -> Libraries {
    Libraries::new(Identity { redis_version: REDIS_VERSION }, LIMIT_BYTES)
}

impl Node {
    /// A library came with a file or with a full sync.
    ///
    /// # Errors
    /// It can't be loaded.
    pub fn function_loaded(&mut self, code: &[u8]) -> Result<(), String> {
        let told = |fail: rivulet_commands::fail::Fail| {
            format!("Failed creating the function library: {}", String::from_utf8_lossy(&fail.0))
        };
        // What was there is forgotten, and commands of the files may follow.
        if self.persist.loading.load.as_ref().is_some_and(|load| load.why != LoadWhy::FullSync) {
            let merges = self.persist.loading.load.as_ref().is_some_and(|load| load.merges);
            let mut engine = self.scripts.take();
            let loaded = engine.libraries().load(code, merges, &mut LoadHost::for_data());
            self.scripts.put_back(engine);
            return loaded.map(|_| ()).map_err(told);
        }
        let libraries = self.scripts.loading.get_or_insert_with(none);
        libraries.load(code, false, &mut LoadHost::for_data()).map(|_| ()).map_err(told)
    }
}
