fn main() {
    let n: u64 = std::env::args().nth(1).map_or(100, |a| a.parse().unwrap());
    let s = squall_scenarios::register::atomic();
    let mut ev = 0; let mut ops = 0;
    let t = std::time::Instant::now();
    for seed in 0..n {
        let plan = s.plan(seed);
        let o = squall::run_plan(&s, seed, &plan, squall::Watch { judge: false, ..Default::default() });
        ev += o.events; ops += o.operations.ok + o.operations.fail + o.operations.unknown;
    }
    println!("{n} seeds, {ev} events, {ops} ops; {:.0} seeds/s", n as f64 / t.elapsed().as_secs_f64());
}
