use super::threat::{Ability, Answer, Code, Data, Lifetime, Network, Purpose, Reads, System, Tenancy};
use super::*;

/// A host on which everything works.
fn everything() -> HostHas {
    let all = strategies::all().expect("the table");
    let here = |strategy: Strategy| {
        let yes = Here::Yes {
            measured: Vec::new(),
            start_ms: None,
        };
        (strategy.name, yes)
    };
    HostHas {
        strategies: all.into_iter().map(here).collect(),
        memory_mib: 65_536,
        enclave: None,
    }
}

#[allow(clippy::needless_pass_by_value)] // each test makes one
fn advice(threat: Threat) -> Advice {
    advise(&threat, &everything()).expect("the tables")
}

fn best(threat: Threat) -> String {
    let advice = advice(threat);
    advice.ranked[0].strategy.name.clone()
}

fn why_not(advice: &Advice, name: &str) -> String {
    let one = advice.rejected.iter().find(|one| one.name == name);
    let why = one
        .unwrap_or_else(|| panic!("{name} was not rejected"))
        .why
        .iter();
    why.map(|reason| reason.text.clone())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn a_coding_agent_gets_the_native_engine() {
    assert_eq!(best(Threat::default()), "native");
}

#[test]
fn every_name_in_the_rules_is_a_strategy_and_every_id_is_unique() {
    let names: BTreeSet<String> = strategies::all()
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    let rules = rules::all().unwrap();
    for rule in &rules {
        for name in rule.never.iter().chain(rule.favour.keys()) {
            assert!(names.contains(name), "{}: {name}", rule.id);
        }
        assert!(!rule.why.is_empty() && !rule.source.is_empty(), "{}", rule.id);
    }
    let ids: BTreeSet<&String> = rules.iter().map(|rule| &rule.id).collect();
    assert_eq!(ids.len(), rules.len());
}

#[test]
fn files_alone_and_controlled_inputs_are_a_jail() {
    let threat = Threat {
        code: Code::Own,
        purpose: Purpose::Try,
        ..Threat::default()
    };
    let advice = advice(threat);
    assert_eq!(advice.level, Level::Jail);
    let named: Vec<&str> = advice
        .ranked
        .iter()
        .map(|one| one.strategy.name.as_str())
        .collect();
    assert!(named.contains(&"chroot"), "{named:?}");
}

#[test]
fn a_chroot_is_never_for_anything_untrusted_and_never_for_production() {
    let mut threats = Vec::new();
    for code in [Code::Team, Code::Agent, Code::Public, Code::Hostile] {
        threats.push(Threat {
            code,
            ..Threat::default()
        });
    }
    let own = Threat {
        code: Code::Own,
        ..Threat::default()
    };
    threats.push(Threat {
        reads: Reads::Untrusted,
        ..own.clone()
    });
    threats.push(Threat {
        data: Data::Secret,
        ..own.clone()
    });
    threats.push(Threat {
        tenancy: Tenancy::Multi,
        ..own.clone()
    });
    threats.push(Threat {
        network: Network::Open,
        ..own.clone()
    });
    threats.push(Threat {
        agents: 2,
        ..own.clone()
    });
    threats.push(Threat {
        purpose: Purpose::Production,
        ..own
    });
    for threat in threats {
        let told = format!("{threat:?}");
        assert!(!why_not(&advice(threat), "chroot").is_empty(), "{told}");
    }
}

#[test]
fn public_input_and_sensitive_data_ask_for_an_own_kernel() {
    let public = advice(Threat {
        code: Code::Public,
        ..Threat::default()
    });
    assert_eq!(public.level, Level::Kernel);
    assert!(why_not(&public, "docker").contains("too weak"));
    let steered = Threat {
        reads: Reads::Untrusted,
        data: Data::Secret,
        ..Threat::default()
    };
    assert_eq!(advice(steered).level, Level::Vm);
    let regulated = Threat {
        data: Data::Regulated,
        ..Threat::default()
    };
    assert_eq!(advice(regulated).level, Level::Vm);
}

#[test]
fn strong_isolation_without_the_cost_of_machines_is_gvisor() {
    let threat = Threat {
        code: Code::Public,
        agents: 20,
        ..Threat::default()
    };
    assert_eq!(best(threat), "gvisor");
}

#[test]
fn portability_and_production_are_docker() {
    let portable = Threat {
        needs: vec![Ability::Portable],
        ..Threat::default()
    };
    assert_eq!(best(portable), "docker");
    let production = Threat {
        purpose: Purpose::Production,
        needs: vec![Ability::Images],
        ..Threat::default()
    };
    assert_eq!(best(production), "docker");
}

#[test]
fn many_agents_are_kubernetes_and_few_are_not() {
    let many = Threat {
        agents: 200,
        needs: vec![Ability::Images],
        ..Threat::default()
    };
    assert_eq!(best(many), "kubernetes");
    let few = Threat {
        needs: vec![Ability::Images],
        ..Threat::default()
    };
    assert_ne!(best(few), "kubernetes");
}

#[test]
fn hostile_code_gets_a_microvm_and_a_long_one_with_another_system_gets_a_machine() {
    let hostile = Threat {
        code: Code::Hostile,
        ..Threat::default()
    };
    assert!(["microvm", "firecracker"].contains(&best(hostile).as_str()));
    let other = Threat {
        lifetime: Lifetime::Long,
        needs: vec![Ability::OtherSystem],
        ..Threat::default()
    };
    assert_eq!(best(other), "qemu");
}

#[test]
fn one_program_that_never_changes_is_a_unikernel_or_wasm() {
    let needs = vec![Ability::FixedFunction];
    let function = Threat {
        needs: needs.clone(),
        ..Threat::default()
    };
    assert_eq!(best(function), "wasm");
    let hostile = Threat {
        code: Code::Hostile,
        needs,
        ..Threat::default()
    };
    assert_eq!(best(hostile), "unikernel");
}

#[test]
fn docker_inside_needs_a_machine() {
    let nested = advice(Threat {
        needs: vec![Ability::NestedDocker],
        ..Threat::default()
    });
    assert_eq!(nested.level, Level::Vm);
    assert_eq!(nested.ranked[0].strategy.name, "qemu");
    assert!(why_not(&nested, "docker").contains("does not give Docker inside"));
}

#[test]
fn elsewhere_than_linux_the_gap_is_explained() {
    let mac = advice(Threat {
        system: System::Macos,
        ..Threat::default()
    });
    assert_eq!(mac.ranked[0].strategy.name, "docker");
    assert!(
        mac.notes
            .iter()
            .any(|note| note.contains("Docker Desktop or WSL2"))
    );
    assert!(why_not(&mac, "native").contains("does not run on macOS"));
}

#[test]
fn what_costs_money_is_only_offered_to_who_pays() {
    let free = advice(Threat::default());
    assert!(why_not(&free, "ec2").contains("money"));
    let paid = advice(Threat {
        paid: true,
        code: Code::Hostile,
        ..Threat::default()
    });
    assert!(paid.ranked.iter().any(|one| one.strategy.name == "ec2"));
}

#[test]
fn a_start_that_is_too_slow_and_a_memory_that_is_too_small_rule_out() {
    let quick = advice(Threat {
        start_ms: Some(50),
        ..Threat::default()
    });
    assert!(why_not(&quick, "docker").contains("400 ms"));
    let host = HostHas {
        memory_mib: 8_192,
        ..everything()
    };
    let crowd = Threat {
        agents: 100,
        code: Code::Hostile,
        ..Threat::default()
    };
    let crowd = advise(&crowd, &host).unwrap();
    assert!(
        why_not(&crowd, "qemu").contains("25600 MiB"),
        "{:?}",
        crowd.rejected
    );
}

#[test]
fn what_this_host_does_not_have_is_named_and_never_replaced_by_something_weaker() {
    let threat = Threat {
        code: Code::Hostile,
        ..Threat::default()
    };
    let mut host = everything();
    host.strategies.retain(|name, _| name == "native");
    let advice = advise(&threat, &host).unwrap();
    assert!(advice.ranked.is_empty());
    assert!(
        advice
            .elsewhere
            .iter()
            .all(|one| one.strategy.level >= Level::Vm && one.missing.is_some())
    );
    assert!(why_not(&advice, "native").contains("too weak"));
}

#[test]
fn a_shared_kernel_is_said_in_words_and_an_enclave_where_the_stakes_ask_for_it() {
    let container = advice(Threat::default());
    assert!(container.notes.iter().any(|note| note.contains("share one fate")));
    let stakes = Threat {
        code: Code::Hostile,
        data: Data::Regulated,
        ..Threat::default()
    };
    let host = HostHas {
        enclave: Some("SEV".to_owned()),
        ..everything()
    };
    let advice = advise(&stakes, &host).unwrap();
    let notes = advice.notes.join("\n");
    assert!(
        notes.contains("enclaves") && notes.contains("this host has SEV"),
        "{notes}"
    );
    assert!(!notes.contains("share one fate"));
}

#[test]
fn every_rejection_has_a_reason_and_nothing_is_both() {
    for code in Code::ALL {
        for data in Data::ALL {
            for network in Network::ALL {
                let threat = Threat {
                    code: *code,
                    data: *data,
                    network: *network,
                    ..Threat::default()
                };
                let advice = advice(threat);
                assert!(advice.rejected.iter().all(|one| !one.why.is_empty()));
                let chosen: BTreeSet<_> = advice.ranked.iter().map(|one| &one.strategy.name).collect();
                assert!(advice.rejected.iter().all(|one| !chosen.contains(&one.name)));
                assert!(advice.ranked.iter().all(|one| one.strategy.level >= advice.level));
                assert_eq!(chosen.len() + advice.rejected.len(), 14);
            }
        }
    }
}
