//! Whether /dev/kvm can run a guest, and how. The device, its version and the processor's flags
//! all mislead: under nested virtualisation a guest's kernel mode may be interpreted, a thousand
//! times too slow, and whole machines then seem to hang without any error. So a guest is run:
//! kernel mode of 64 bits, counting down, telling the host after each round.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kvm {
    /// There is no such device.
    None,
    /// It may not be opened by this user.
    Denied {
        /// What the kernel said.
        cause: String,
    },
    /// It can be opened, and a guest does not run.
    Broken {
        /// What failed, and how.
        why: String,
    },
    /// A guest runs, but its kernel mode is interpreted.
    Emulated {
        /// Loop rounds a second.
        rounds_per_second: u64,
    },
    /// A guest runs on the processor.
    Hardware {
        /// Loop rounds a second.
        rounds_per_second: u64,
    },
    /// It could not be tried.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// The device.
const DEVICE: &str = "/dev/kvm";
/// Rounds of the inner loop between two exits of the guest.
const ROUNDS: u32 = 20_000;
/// How often that is measured; the best counts, because a host can be busy.
const MEASUREMENTS: usize = 8;
/// A guest that needs longer for one round is not measured more often than this often.
const SLOW: Duration = Duration::from_millis(5);
const SLOW_MEASUREMENTS: usize = 3;
/// A processor does some 10^9 rounds a second, an interpreter some 10^6.
const HARDWARE_ROUNDS_PER_SECOND: u64 = 30_000_000;

/// Runs a guest. It can block for as long as its kernel likes: the caller must be ready to be
/// killed.
#[must_use]
pub fn smoke() -> Kvm {
    match std::fs::File::options().read(true).write(true).open(DEVICE) {
        Ok(_) => guest::run(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kvm::None,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Kvm::Denied {
            cause: error.to_string(),
        },
        Err(error) => Kvm::Broken {
            why: format!("open {DEVICE}: {error}"),
        },
    }
}

/// Classes a guest by the time of its best measurement.
fn class(best: Duration) -> Kvm {
    let nanoseconds = u64::try_from(best.as_nanos()).unwrap_or(u64::MAX).max(1);
    let rounds_per_second = u64::from(ROUNDS).saturating_mul(1_000_000_000) / nanoseconds;
    if rounds_per_second >= HARDWARE_ROUNDS_PER_SECOND {
        Kvm::Hardware { rounds_per_second }
    } else {
        Kvm::Emulated { rounds_per_second }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod guest {
    use super::Kvm;

    pub(super) fn run() -> Kvm {
        Kvm::Unknown {
            why: "there is no smoke test for this architecture".to_owned(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod guest {
    use std::io;
    use std::time::{Duration, Instant};

    use kvm_bindings::{kvm_regs, kvm_segment};
    use kvm_ioctls::{VcpuExit, VcpuFd};

    use super::super::sys::GuestMemory;
    use super::{Kvm, MEASUREMENTS, ROUNDS, SLOW, SLOW_MEASUREMENTS, class};

    /// Physical addresses in the guest: three levels of page tables and the program.
    const PAGE_MAP: u64 = 0x1000;
    const DIRECTORIES: u64 = 0x2000;
    const DIRECTORY: u64 = 0x3000;
    const PROGRAM: u64 = 0x4000;
    const MEMORY: usize = 0x1_0000;
    /// Present, writable; and one page of 2 MiB.
    const TABLE: u64 = 0b11;
    const PAGE: u64 = 0b1000_0011;
    /// Register bits of 64-bit mode: protection and paging, PAE, long mode enabled and active.
    const CR0: u64 = 1 | 1 << 31;
    const CR4: u64 = 1 << 5;
    const EFER: u64 = 1 << 8 | 1 << 10;
    /// The port that the guest writes to after each round of measuring.
    const PORT: u16 = 0xf4;

    /// `again: mov ecx, ROUNDS; spin: dec ecx; jnz spin; out 0xf4, al; dec ebx; jnz again; hlt`.
    /// Ends by `hlt`, never by a fault.
    fn program() -> Vec<u8> {
        let mut code = vec![0xb9];
        code.extend(ROUNDS.to_le_bytes());
        code.extend([0xff, 0xc9, 0x75, 0xfc, 0xe6, 0xf4, 0xff, 0xcb, 0x75, 0xf1, 0xf4]);
        code
    }

    pub(super) fn run() -> Kvm {
        match measure() {
            Ok(best) => class(best),
            Err(why) => Kvm::Broken { why },
        }
    }

    fn at<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> String {
        move |error| format!("{step}: {error}")
    }

    fn measure() -> Result<Duration, String> {
        let memory = prepared_memory().map_err(at("make the guest's memory"))?;
        let kvm = kvm_ioctls::Kvm::new().map_err(at("open /dev/kvm"))?;
        let machine = kvm.create_vm().map_err(at("make a machine"))?;
        memory
            .give_to(&machine)
            .map_err(at("give the machine its memory"))?;
        let mut processor = machine.create_vcpu(0).map_err(at("make a processor"))?;
        set_registers(&processor).map_err(at("set its registers"))?;
        rounds(&mut processor)
    }

    fn prepared_memory() -> io::Result<GuestMemory> {
        let mut memory = GuestMemory::new(MEMORY)?;
        for (at, entry) in [
            (PAGE_MAP, DIRECTORIES | TABLE),
            (DIRECTORIES, DIRECTORY | TABLE),
            (DIRECTORY, PAGE),
        ] {
            memory.write(address(at)?, &entry.to_le_bytes())?;
        }
        memory.write(address(PROGRAM)?, &program())?;
        Ok(memory)
    }

    fn address(guest: u64) -> io::Result<usize> {
        usize::try_from(guest).map_err(io::Error::other)
    }

    fn set_registers(processor: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        let mut special = processor.get_sregs()?;
        let code = kvm_segment {
            base: 0,
            limit: u32::MAX,
            selector: 1 << 3,
            type_: 0b1011,
            present: 1,
            s: 1,
            l: 1,
            g: 1,
            ..kvm_segment::default()
        };
        let data = kvm_segment {
            selector: 2 << 3,
            type_: 0b0011,
            l: 0,
            db: 1,
            ..code
        };
        special.cs = code;
        (special.ds, special.es, special.fs) = (data, data, data);
        (special.gs, special.ss) = (data, data);
        special.cr3 = PAGE_MAP;
        special.cr4 |= CR4;
        special.cr0 |= CR0;
        special.efer |= EFER;
        processor.set_sregs(&special)?;
        processor.set_regs(&kvm_regs {
            rip: PROGRAM,
            rbx: MEASUREMENTS as u64,
            rflags: 0b10,
            ..kvm_regs::default()
        })
    }

    /// The time of the fastest round.
    fn rounds(processor: &mut VcpuFd) -> Result<Duration, String> {
        let mut best = None;
        for told in 0..=MEASUREMENTS {
            let started = Instant::now();
            match processor.run().map_err(at("run the guest"))? {
                VcpuExit::IoOut(PORT, _) => {
                    let took = started.elapsed();
                    let least = best.map_or(took, |best: Duration| best.min(took));
                    if least > SLOW && told + 1 == SLOW_MEASUREMENTS {
                        return Ok(least);
                    }
                    best = Some(least);
                }
                VcpuExit::Hlt if told == MEASUREMENTS => {
                    return best.ok_or_else(|| "the guest told nothing".to_owned());
                }
                other => return Err(format!("the guest did what it should not: {other:?}")),
            }
        }
        Err("the guest did not end".to_owned())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn jumps_of_the_program_lead_to_its_loops() {
            let code = program();
            // `jnz` counts from the instruction after it.
            assert_eq!(code[7..9], [0x75, 0xfc], "spin");
            assert_eq!(9 - 4, 5, "back to `dec ecx`, which follows five bytes of `mov`");
            assert_eq!(code[13..15], [0x75, 0xf1], "again");
            assert_eq!(15 - 15, 0, "back to the start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_times_too_slow_is_emulated() {
        assert!(matches!(class(Duration::from_micros(25)), Kvm::Hardware { .. }));
        assert!(matches!(class(Duration::from_millis(20)), Kvm::Emulated { .. }));
    }
}
