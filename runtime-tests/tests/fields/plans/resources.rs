//! `linux.resources`. What the kernel makes of the values is read back in the suite of limits, in a VM with every controller.

use serde_json::json;

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            &["linux.resources.devices[0].allow"],
            json!({"/linux/resources/devices": [{"allow": true, "access": "rwm", "type": "c", "major": 1, "minor": 1}]}),
            &["cgroup devices 12 rules, 24 instructions [linux.resources.devices]"],
        ),
        row(
            &["linux.resources.devices[0].type"],
            json!({"/linux/resources/devices": [{"allow": false, "access": "rwm", "type": "u"}]}),
            &["refused: linux.resources.devices[0].type: invalid cgroup device type \"u\" (expected a, b or c)"],
        ),
        row(
            &["linux.resources.devices[0].major"],
            json!({"/linux/resources/devices": [{"allow": false, "access": "rwm", "major": -2}]}),
            &["refused: linux.resources.devices[0].major: invalid device number -2 (-1 means all)"],
        ),
        row(
            &["linux.resources.devices[0].minor"],
            json!({"/linux/resources/devices": [{"allow": false, "access": "rwm", "minor": -2}]}),
            &["refused: linux.resources.devices[0].minor: invalid device number -2 (-1 means all)"],
        ),
        row(
            &["linux.resources.devices[0].access"],
            json!({"/linux/resources/devices": [{"allow": false, "access": "x"}]}),
            &[
                "refused: linux.resources.devices[0].access: invalid device access \"x\" (expected a combination of r, w and m)",
            ],
        ),
        row(
            &["linux.resources.memory.limit"],
            json!({"/linux/resources/memory/limit": 65536}),
            &[
                "cgroup enable memory [linux.resources]",
                "cgroup leaf container [linux.resources.memory.limit]",
                "cgroup memory.max 65536 [linux.resources.memory.limit]",
            ],
        ),
        row(
            &["linux.resources.memory.reservation"],
            json!({"/linux/resources/memory/reservation": 65536}),
            &["cgroup enable memory [linux.resources]", "cgroup memory.low 65536 [linux.resources.memory.reservation]"],
        ),
        row(
            &["linux.resources.memory.swap"],
            json!({"/linux/resources/memory": {"limit": 65536, "swap": 131072}}),
            &[
                "cgroup enable memory [linux.resources]",
                "cgroup leaf container [linux.resources.memory.limit]",
                "cgroup memory.swap.max 65536 [linux.resources.memory.swap]",
                "cgroup memory.max 65536 [linux.resources.memory.limit]",
            ],
        ),
        row(
            &["linux.resources.memory.kernel"],
            json!({"/linux/resources/memory/kernel": 65536}),
            &[
                "refused: linux.resources.memory.kernel: cannot be set with cgroup v2: kernel memory counts towards memory.limit and has no limit of its own",
            ],
        ),
        row(
            &["linux.resources.memory.kernelTCP"],
            json!({"/linux/resources/memory/kernelTCP": 65536}),
            &[
                "refused: linux.resources.memory.kernelTCP: cannot be set with cgroup v2: kernel memory counts towards memory.limit and has no limit of its own",
            ],
        ),
        row(
            &["linux.resources.memory.swappiness"],
            json!({"/linux/resources/memory/swappiness": 60}),
            &[
                "refused: linux.resources.memory.swappiness: cannot be set with cgroup v2: it has no swappiness for a single cgroup",
            ],
        ),
        row(
            &["linux.resources.memory.disableOOMKiller"],
            json!({"/linux/resources/memory/disableOOMKiller": true}),
            &[
                "refused: linux.resources.memory.disableOOMKiller: cannot be set with cgroup v2: the OOM killer cannot be switched off for a single cgroup",
            ],
        ),
        row(&["linux.resources.memory.useHierarchy"], json!({"/linux/resources/memory/useHierarchy": true}), &[]),
        row(
            &["linux.resources.memory.checkBeforeUpdate"],
            json!({"/linux/resources/memory/checkBeforeUpdate": true}),
            &[],
        ),
        row(
            &["linux.resources.cpu.shares"],
            json!({"/linux/resources/cpu/shares": 512}),
            &["cgroup enable cpu [linux.resources]", "cgroup cpu.weight 59 [linux.resources.cpu.shares]"],
        ),
        row(
            &["linux.resources.cpu.quota"],
            json!({"/linux/resources/cpu/quota": 50000}),
            &["cgroup enable cpu [linux.resources]", "cgroup cpu.max 50000 100000 [linux.resources.cpu.quota]"],
        ),
        row(
            &["linux.resources.cpu.burst"],
            json!({"/linux/resources/cpu": {"quota": 50000, "burst": 1000}}),
            &[
                "cgroup enable cpu [linux.resources]",
                "cgroup cpu.max 50000 100000 [linux.resources.cpu.quota]",
                "cgroup cpu.max.burst 1000 [linux.resources.cpu.burst]",
            ],
        ),
        row(
            &["linux.resources.cpu.period"],
            json!({"/linux/resources/cpu": {"quota": 50000, "period": 200000}}),
            &["cgroup enable cpu [linux.resources]", "cgroup cpu.max 50000 200000 [linux.resources.cpu.quota]"],
        ),
        row(
            &["linux.resources.cpu.realtimeRuntime"],
            json!({"/linux/resources/cpu/realtimeRuntime": 1}),
            &[
                "refused: linux.resources.cpu.realtimeRuntime: cannot be set with cgroup v2: it does not support real-time scheduling",
            ],
        ),
        row(
            &["linux.resources.cpu.realtimePeriod"],
            json!({"/linux/resources/cpu/realtimePeriod": 1}),
            &[
                "refused: linux.resources.cpu.realtimePeriod: cannot be set with cgroup v2: it does not support real-time scheduling",
            ],
        ),
        row(
            &["linux.resources.cpu.cpus"],
            json!({"/linux/resources/cpu/cpus": "0-1"}),
            &["cgroup enable cpuset [linux.resources]", "cgroup cpuset.cpus 0-1 [linux.resources.cpu.cpus]"],
        ),
        row(
            &["linux.resources.cpu.mems"],
            json!({"/linux/resources/cpu/mems": "0"}),
            &["cgroup enable cpuset [linux.resources]", "cgroup cpuset.mems 0 [linux.resources.cpu.mems]"],
        ),
        row(
            &["linux.resources.cpu.idle"],
            json!({"/linux/resources/cpu/idle": 1}),
            &["cgroup enable cpu [linux.resources]", "cgroup cpu.idle 1 [linux.resources.cpu.idle]"],
        ),
        row(
            &["linux.resources.pids.limit"],
            json!({"/linux/resources/pids/limit": 7}),
            &["cgroup enable pids [linux.resources]", "cgroup pids.max 7 [linux.resources.pids.limit]"],
        ),
        row(
            &["linux.resources.blockIO.weight"],
            json!({"/linux/resources/blockIO/weight": 500}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.bfq.weight default 500 [linux.resources.blockIO.weight]",
            ],
        ),
        row(
            &["linux.resources.blockIO.leafWeight"],
            json!({"/linux/resources/blockIO/leafWeight": 500}),
            &[
                "refused: linux.resources.blockIO.leafWeight: cannot be set with cgroup v2: only leaf cgroups have processes",
            ],
        ),
        row(
            &[
                "linux.resources.blockIO.weightDevice[0].major",
                "linux.resources.blockIO.weightDevice[0].minor",
                "linux.resources.blockIO.weightDevice[0].weight",
            ],
            json!({"/linux/resources/blockIO/weightDevice": [{"major": 8, "minor": 0, "weight": 300}]}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.bfq.weight 8:0 300 [linux.resources.blockIO.weightDevice[0].weight]",
            ],
        ),
        row(
            &["linux.resources.blockIO.weightDevice[0].leafWeight"],
            json!({"/linux/resources/blockIO/weightDevice": [{"major": 8, "minor": 0, "leafWeight": 300}]}),
            &[
                "refused: linux.resources.blockIO.weightDevice[0].leafWeight: cannot be set with cgroup v2: only leaf cgroups have processes",
            ],
        ),
        row(
            &[
                "linux.resources.blockIO.throttleReadBpsDevice[0].major",
                "linux.resources.blockIO.throttleReadBpsDevice[0].minor",
                "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
            ],
            json!({"/linux/resources/blockIO/throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}]}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.max 8:0 rbps=1048576 [linux.resources.blockIO.throttleReadBpsDevice[0].rate]",
            ],
        ),
        row(
            &[
                "linux.resources.blockIO.throttleWriteBpsDevice[0].major",
                "linux.resources.blockIO.throttleWriteBpsDevice[0].minor",
                "linux.resources.blockIO.throttleWriteBpsDevice[0].rate",
            ],
            json!({"/linux/resources/blockIO/throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}]}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.max 8:0 wbps=1048576 [linux.resources.blockIO.throttleWriteBpsDevice[0].rate]",
            ],
        ),
        row(
            &[
                "linux.resources.blockIO.throttleReadIOPSDevice[0].major",
                "linux.resources.blockIO.throttleReadIOPSDevice[0].minor",
                "linux.resources.blockIO.throttleReadIOPSDevice[0].rate",
            ],
            json!({"/linux/resources/blockIO/throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1048576}]}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.max 8:0 riops=1048576 [linux.resources.blockIO.throttleReadIOPSDevice[0].rate]",
            ],
        ),
        row(
            &[
                "linux.resources.blockIO.throttleWriteIOPSDevice[0].major",
                "linux.resources.blockIO.throttleWriteIOPSDevice[0].minor",
                "linux.resources.blockIO.throttleWriteIOPSDevice[0].rate",
            ],
            json!({"/linux/resources/blockIO/throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 1048576}]}),
            &[
                "cgroup enable io [linux.resources]",
                "cgroup io.max 8:0 wiops=1048576 [linux.resources.blockIO.throttleWriteIOPSDevice[0].rate]",
            ],
        ),
        row(
            &["linux.resources.hugepageLimits[0].pageSize", "linux.resources.hugepageLimits[0].limit"],
            json!({"/linux/resources/hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}),
            &[
                "cgroup enable hugetlb [linux.resources]",
                "cgroup hugetlb.2MB.max 4194304 [linux.resources.hugepageLimits[0].limit]",
                "cgroup hugetlb.2MB.rsvd.max 4194304 [linux.resources.hugepageLimits[0].limit]",
            ],
        ),
        row(
            &["linux.resources.network.classID"],
            json!({"/linux/resources/network": {"classID": 1}}),
            &["refused: linux.resources.network.classID: cannot be set with cgroup v2: it has no net_cls controller"],
        ),
        row(
            &["linux.resources.network.priorities[0].name", "linux.resources.network.priorities[0].priority"],
            json!({"/linux/resources/network": {"priorities": [{"name": "eth0", "priority": 1}]}}),
            &[
                "refused: linux.resources.network.priorities: cannot be set with cgroup v2: it has no net_prio controller",
            ],
        ),
        row(
            &["linux.resources.rdma[\"KEY\"].hcaHandles"],
            json!({"/linux/resources/rdma": {"mlx5_0": {"hcaHandles": 3}}}),
            &[
                "cgroup enable rdma [linux.resources]",
                "cgroup rdma.max mlx5_0 hca_handle=3 [linux.resources.rdma[\"mlx5_0\"]]",
            ],
        ),
        row(
            &["linux.resources.rdma[\"KEY\"].hcaObjects"],
            json!({"/linux/resources/rdma": {"mlx5_0": {"hcaObjects": 3}}}),
            &[
                "cgroup enable rdma [linux.resources]",
                "cgroup rdma.max mlx5_0 hca_object=3 [linux.resources.rdma[\"mlx5_0\"]]",
            ],
        ),
        row(
            &["linux.resources.unified[\"KEY\"]"],
            json!({"/linux/resources/unified": {"memory.high": "4096"}}),
            &[
                "cgroup enable memory [linux.resources]",
                "cgroup leaf container [linux.resources.unified[\"memory.high\"]]",
                "cgroup memory.high 4096 [linux.resources.unified[\"memory.high\"]]",
            ],
        ),
    ]
}
