use stockade_domain::{Demands, Need};

fn weaken(demands: Demands) {
    for demand in demands.iter() {
        demand.need = Need::Prefer;
    }
}

fn main() {}
