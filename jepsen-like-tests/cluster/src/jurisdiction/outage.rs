//! Loss of power: every running node at once, with what its disk had not been told to keep.

use super::Jurisdiction;
use crate::patience::{Broken, until};
use crate::power::{self, Disk};

impl Jurisdiction {
    pub(super) fn make_disks(&mut self) -> Result<(), Broken> {
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].id;
            let image = self.folder.join(format!("node-{id}.ext4"));
            self.disks.push(Disk::make(image, self.data(id))?);
        }
        Ok(())
    }

    /// The disk of a node.
    ///
    /// # Errors
    /// The jurisdiction was laid out without disks.
    pub fn disk(&self, id: u64) -> Result<&Disk, Broken> {
        let at = self.nodes.iter().position(|node| node.id == id);
        at.and_then(|at| self.disks.get(at))
            .ok_or_else(|| Broken::new(format!("node {id} has no disk of its own")))
    }

    /// Cuts the power of every node: all disks forget what was not synced, all processes are gone. Gives the ids of the
    /// nodes that ran; their disks are mounted again.
    ///
    /// # Errors
    /// The jurisdiction was laid out without disks, or one of them cannot be shut down or mounted.
    pub async fn cut_power(&mut self) -> Result<Vec<u64>, Broken> {
        if self.disks.is_empty() {
            return Err(Broken::new("no disks were laid out whose power can be cut"));
        }
        power::shut_down(&self.disks)?;
        let killed = self.kill_all()?;
        for disk in &mut self.disks {
            until("the disk of a killed node is unmounted", || {
                let unmounted = disk.unmount();
                async move { unmounted.map_err(|error| error.to_string()) }
            })
            .await?;
            disk.mount()?;
        }
        Ok(killed)
    }
}
