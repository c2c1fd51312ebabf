//! How a state database is opened: its share of the machine, and every option that differs from RocksDB's default.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, InfoLogger, LogLevel,
    Options, WriteBufferManager,
};

use crate::families::Family;
use crate::fault::FirstFault;

/// How much of the machine a state database may take. The defaults suit several nodes on one small machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RocksSettings {
    /// Block cache in bytes, over all families; holds index and filter blocks too. Default 64 MiB, at least 1 MiB.
    pub cache_bytes: usize,
    /// Memtables in bytes, over all families; reaching it flushes. Default 24 MiB, at least 1 MiB. More means fewer,
    /// larger files and a longer replay after a crash.
    pub write_buffers_bytes: usize,
    /// Files kept open. Default 256, at least 64. Fewer means re-opening on reads.
    pub open_files_max: i32,
    /// Threads that flush and compact. Default 2, at least 2 (one of each).
    pub background_jobs: i32,
    /// A planted fault: the family of secondary keys is empty in every snapshot that is taken.
    #[cfg(feature = "planted")]
    pub snapshot_misses_a_column_family: bool,
}

impl Default for RocksSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            write_buffers_bytes: 24 << 20,
            open_files_max: 256,
            background_jobs: 2,
            #[cfg(feature = "planted")]
            snapshot_misses_a_column_family: false,
        }
    }
}

/// What all databases of one process share: the settings, the one block cache they are charged to, and the first damage
/// that a read of any of them met.
#[derive(Clone)]
pub struct RocksShared {
    settings: RocksSettings,
    cache: Cache,
    damage: FirstFault,
}

impl RocksShared {
    /// Allocates the cache. Values below their least are raised to it.
    pub fn new(settings: RocksSettings) -> Self {
        let settings = RocksSettings {
            cache_bytes: settings.cache_bytes.max(1 << 20),
            write_buffers_bytes: settings.write_buffers_bytes.max(1 << 20),
            open_files_max: settings.open_files_max.max(64),
            background_jobs: settings.background_jobs.max(2),
            #[cfg(feature = "planted")]
            snapshot_misses_a_column_family: settings.snapshot_misses_a_column_family,
        };
        let cache = Cache::new_lru_cache(settings.cache_bytes);
        Self {
            settings,
            cache,
            damage: FirstFault::default(),
        }
    }

    /// The first damage that a read met.
    pub fn damage(&self) -> &FirstFault {
        &self.damage
    }

    /// What is in force.
    pub fn settings(&self) -> &RocksSettings {
        &self.settings
    }

    /// Options of the database as a whole.
    pub(super) fn database(&self) -> Options {
        let buffers = self.settings.write_buffers_bytes;
        let mut o = Options::default();
        o.set_paranoid_checks(true);
        o.set_atomic_flush(true);
        // Memtables are charged to the cache, so one number bounds both.
        let manager = WriteBufferManager::new_write_buffer_manager_with_cache(
            buffers,
            false,
            self.cache.clone(),
        );
        o.set_write_buffer_manager(&manager);
        o.set_max_open_files(self.settings.open_files_max);
        o.set_max_background_jobs(self.settings.background_jobs);
        o.set_bytes_per_sync(1 << 20);
        o.set_stats_dump_period_sec(0);
        o.set_stats_persist_period_sec(0);
        // No LOG files in the data directory: warnings go where all others go. At each start and each snapshot RocksDB
        // also writes every option of every family; those lines pass any threshold, but are marked as information.
        o.set_info_logger(InfoLogger::new_callback_logger(
            LogLevel::Warn,
            |level, text| match level {
                LogLevel::Error | LogLevel::Fatal => {
                    tracing::error!(target: "rocksdb", "{}", text.trim())
                }
                LogLevel::Warn => tracing::warn!(target: "rocksdb", "{}", text.trim()),
                LogLevel::Info | LogLevel::Debug | LogLevel::Header => {
                    tracing::debug!(target: "rocksdb", "{}", text.trim())
                }
            },
        ));
        o
    }

    fn family(&self, family: Family) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // What is only appended to is read by keys that are there.
        if !matches!(family, Family::Entries | Family::Envelopes | Family::Tree) {
            table.set_bloom_filter(10.0, false);
        }
        table.set_block_size(8 << 10);
        let mut o = Options::default();
        o.set_block_based_table_factory(&table);
        o.set_compression_type(DBCompressionType::Lz4);
        // Registration asks these for keys that are not there; a memtable answers that as its files do.
        if matches!(family, Family::Robots | Family::Index | Family::Transfers) {
            o.set_memtable_whole_key_filtering(true);
            o.set_memtable_prefix_bloom_ratio(0.02);
        }
        // All families are flushed together, most of them with little: merging four such files at a time would rewrite
        // the same bytes often, and a look-up passes the filters of eight as easily.
        o.set_level_zero_file_num_compaction_trigger(8);
        // One busy family may not take more than half of the memory of all.
        o.set_write_buffer_size(self.settings.write_buffers_bytes / 2);
        // Two more may wait for the disk before writes do; the manager above bounds the sum.
        o.set_max_write_buffer_number(4);
        // Twenty families with the default arena block (1 MiB) would fill the budget while empty.
        o.set_arena_block_size(64 << 10);
        o
    }

    /// Families with their options.
    pub(super) fn descriptors(
        &self,
        families: &[Family],
    ) -> impl Iterator<Item = ColumnFamilyDescriptor> {
        families
            .iter()
            .map(|family| ColumnFamilyDescriptor::new(family.name(), self.family(*family)))
    }
}
