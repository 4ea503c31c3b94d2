//! PFDEBUG and PFSELFTEST: the inside of a HyperLogLog, and whether this build computes what it should.

use rivulet_resp::Reply;

use super::header::{self, Encoding, REGISTERS};
use super::sparse::{self, Raised};
use super::{count_of, dense, element, registers_of};
use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::keys::with_write;

pub(super) fn pfdebug(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (args, key, reply) = (ctx.args, ctx.key(2), &mut ctx.reply);
    let converted = with_write(&mut ctx.db, key, |slot| {
        let mut slot = slot.ok_or(Fail::new("ERR The specified key does not exist"))?;
        let (bytes, encoding) = registers_of(slot.as_ref())?;
        let is_sparse = encoding == Encoding::Sparse;
        let mut converts = false;
        if args.is(1, "decode") {
            if !is_sparse {
                return Err(Fail::new("ERR HLL encoding is not sparse"));
            }
            reply.bulk(sparse::decoded(bytes).as_bytes());
        } else if args.is(1, "encoding") {
            reply.simple(if is_sparse { "sparse" } else { "dense" });
        } else if args.is(1, "getreg") || args.is(1, "todense") {
            converts = is_sparse;
            if converts {
                let dense = sparse::to_dense(bytes)?;
                slot.entry().edit_string(|bytes| *bytes = dense);
            }
            if args.is(1, "todense") {
                reply.int(i64::from(converts));
            } else {
                let (bytes, _) = registers_of(slot.as_ref())?;
                reply_ranks(reply, bytes);
            }
        } else {
            let text = [&b"ERR Unknown PFDEBUG subcommand '"[..], args.at(1), b"'"].concat();
            return Err(Fail::bytes(text));
        }
        Ok(converts)
    })?;
    if converted {
        // The replicas' values change their encoding, too.
        ctx.db.dirty(1);
    }
    Ok(())
}

fn reply_ranks(reply: &mut Reply<'_>, dense: &[u8]) {
    reply.array(REGISTERS);
    for register in 0..REGISTERS {
        reply.int(i64::from(dense::get(dense, register)));
    }
}

pub(super) fn pfselftest(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut rng = fastrand::Rng::with_seed(ctx.db.rng.u64(..));
    test_registers(&mut rng)?;
    test_estimate(&mut rng)?;
    ctx.reply.ok();
    Ok(())
}

/// All registers keep what was set.
fn test_registers(rng: &mut fastrand::Rng) -> Result<(), Fail> {
    let (mut bytes, mut ranks) = (dense::empty(), vec![0; REGISTERS]);
    for round in 0..10 {
        for (register, rank) in ranks.iter_mut().enumerate() {
            *rank = rng.u8(..64);
            dense::set(&mut bytes, register, *rank);
        }
        for (register, &want) in ranks.iter().enumerate() {
            let got = dense::get(&bytes, register);
            if got != want {
                return Err(Fail::text(format!(
                    "TESTFAILED Register {register} should be {want} but is {got} in round {round}"
                )));
            }
        }
    }
    Ok(())
}

/// Up to 100,000 different elements are counted with a small error, whichever the encoding.
fn test_estimate(rng: &mut fastrand::Rng) -> Result<(), Fail> {
    const ELEMENTS: u64 = 100_000;
    /// How many there may be while the value is still sparse.
    const SPARSE: u64 = 1000;
    let seed = rng.u64(..);
    let (mut small, mut large) = (sparse::empty(), dense::empty());
    let mut checkpoint = 1;
    for i in 1..=ELEMENTS {
        let (register, rank) = element::place(&(i ^ seed).to_le_bytes());
        if dense::get(&large, register) < rank {
            dense::set(&mut large, register, rank);
        }
        if i <= SPARSE && sparse::raise(&mut small, register, rank, u64::MAX)? == Raised::TooLarge {
            return Err(Fail::new("TESTFAILED a rank has no word in the sparse encoding"));
        }
        if i != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let counted = count_of(&large, Encoding::Dense)?;
        if i <= SPARSE && count_of(&small, header::encoding_of(&small)?)? != counted {
            return Err(Fail::new("TESTFAILED dense/sparse disagree"));
        }
        // Six standard errors, and the few that collide by chance among few elements.
        let allowed = (1.04 / (REGISTERS as f64).sqrt() * 6.0 * i as f64).ceil() as u64 + u64::from(i == 10);
        if counted.abs_diff(i) > allowed {
            return Err(Fail::text(format!(
                "TESTFAILED Too big error. card:{i} abserr:{} maxerr:{allowed}",
                counted.abs_diff(i)
            )));
        }
    }
    Ok(())
}
