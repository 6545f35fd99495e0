fn main() {
    let n: u64 = std::env::args().nth(1).map_or(100, |a| a.parse().unwrap());
    for s in squall_scenarios::scenarios().iter().chain(&squall_scenarios::specimens()) {
        let t = std::time::Instant::now();
        let mut ev = 0;
        let mut ops = 0;
        let mut bad = 0;
        let mut first = 0;
        for seed in 0..n {
            let o = squall::run(&s, seed);
            ev += o.events;
            ops += o.operations.ok + o.operations.fail + o.operations.unknown;
            if let Some(f) = o.failure {
                bad += 1;
                if bad == 1 {
                    first = seed;
                    println!("seed {seed} at {} ns: {f:#?}", f.at_ns);
                }
            }
        }
        let e = t.elapsed();
        println!(
            "{}: {n} seeds {bad} bad, first {first}, {ev} events {ops} ops; {:.0} seeds/s",
            s.name(),
            n as f64 / e.as_secs_f64()
        );
    }
}
