// SPDX-License-Identifier: Apache-2.0
//! Names for addresses on standard input, as addr2line -a -f -i -C prints them, by blazesym.
use std::io::{self, BufRead, BufWriter, Write};
use blazesym::symbolize::{Symbolizer, Input, Symbolized, source::{Source, Elf}};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let addrs: Vec<u64> = io::stdin().lock().lines().map(|l| u64::from_str_radix(l.unwrap().trim().trim_start_matches("0x"), 16).unwrap()).collect();
    let symbolizer = Symbolizer::builder().enable_code_info(true).enable_inlined_fns(true).enable_demangling(true).build();
    let src = Source::Elf(Elf::new(path));
    let syms = symbolizer.symbolize(&src, Input::VirtOffset(&addrs)).unwrap();
    let mut out = BufWriter::new(io::stdout().lock());
    for (a, s) in addrs.iter().zip(syms) {
        writeln!(out, "0x{:016x}", a).unwrap();
        match s {
            Symbolized::Sym(sym) => {
                let mut put = |name: &str, ci: Option<&blazesym::symbolize::CodeInfo>| {
                    match ci {
                        Some(c) => writeln!(out, "{}\n{}:{}", name, c.to_path().display(), c.line.unwrap_or(0)).unwrap(),
                        None => writeln!(out, "{}\n??:0", name).unwrap(),
                    }
                };
                for i in sym.inlined.iter().rev() { put(&i.name, i.code_info.as_ref()); }
                put(&sym.name, sym.code_info.as_deref());
            }
            _ => writeln!(out, "??\n??:0").unwrap(),
        }
    }
}
