// SPDX-License-Identifier: GPL-2.0
/*
 * RAPL registers for a machine that has none, behind the kernel's own powercap driver.
 *
 * Each package's energy is a known function: idle milliwatts of the time since this was loaded, and
 * milliwatts of each second that one of its CPUs ran a task, from switch to switch. (The kernel's own idle
 * time leaves out interrupts, which take long in an emulated machine.) Counters have 32 bits, as in the
 * processor, and start so that they turn after a chosen energy.
 */
#include <linux/cpu.h>
#include <linux/intel_rapl.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/sched.h>
#include <linux/topology.h>
#include <linux/tracepoint.h>

#define MAX_PACKAGES 4
/* Numbers of our own for the registers; 0, which the driver asks for where there is none, reads 0. */
#define UNITS 1
#define ENERGY_OF(domain) (2 + (domain))
/* Powers in 1/8 W, energies in 2^-14 J, times in 2^-10 s: what a Skylake says of itself. */
#define UNITS_OF_SKYLAKE 0xa0e03
/* The driver's own energy unit for a server's memory. */
#define DRAM_UNIT_NJ 15300

/* By domain: package, core, uncore (which there is none of), dram. */
static uint idle_mw[4] = { 10000, 1000, 0, 2000 };
static uint busy_mw[4] = { 30000, 25000, 0, 3000 };
static uint wrap_after_mj[4] = { 200000, 200000, 0, 30000 };
module_param_array(idle_mw, uint, NULL, 0444);
MODULE_PARM_DESC(idle_mw, "milliwatts of each package's domains when nothing runs");
module_param_array(busy_mw, uint, NULL, 0444);
MODULE_PARM_DESC(busy_mw, "milliwatts more for each busy CPU");
module_param_array(wrap_after_mj, uint, NULL, 0444);
MODULE_PARM_DESC(wrap_after_mj, "millijoules after which the counters start again");

/* One CPU's busy time: of the tasks that have ended their run, and since when one runs now. */
struct busy {
	u64 sum_ns;
	u64 since_ns;
	bool is_busy;
};

static DEFINE_SPINLOCK(lock);
static u64 loaded_ns;
static DEFINE_PER_CPU(struct busy, busy);
static u64 busy_us[MAX_PACKAGES];
static struct rapl_package *packages[MAX_PACKAGES];

/* At each switch, with interrupts off: only this CPU writes its own. */
static void on_switch(void *data, bool preempt, struct task_struct *prev, struct task_struct *next,
		      unsigned int prev_state)
{
	struct busy *own = this_cpu_ptr(&busy);
	u64 now = ktime_get_mono_fast_ns();

	if (prev->pid)
		own->sum_ns += now - max(own->since_ns, loaded_ns);
	own->since_ns = now;
	own->is_busy = next->pid;
}

/* What another CPU writes meanwhile may be seen half: never less than before. */
static u64 package_busy_us(int package, u64 now_ns)
{
	u64 sum = 0;
	int cpu;

	for_each_online_cpu(cpu) {
		struct busy *of = per_cpu_ptr(&busy, cpu);
		u64 since_ns = READ_ONCE(of->since_ns);

		if (topology_physical_package_id(cpu) != package)
			continue;
		sum += READ_ONCE(of->sum_ns);
		if (READ_ONCE(of->is_busy) && since_ns && now_ns > since_ns)
			sum += now_ns - since_ns;
	}
	return busy_us[package] = max(busy_us[package], div_u64(sum, 1000));
}

static u64 in_units(int domain, u64 nanojoules)
{
	if (domain == RAPL_DOMAIN_DRAM)
		return div_u64(nanojoules, DRAM_UNIT_NJ);
	return mul_u64_u64_div_u64(nanojoules, 1 << 14, NSEC_PER_SEC);
}

static u32 energy(int package, int domain)
{
	u64 now_ns, nanojoules;

	spin_lock(&lock);
	now_ns = ktime_get_mono_fast_ns();
	/* Milliwatts times microseconds. */
	nanojoules = idle_mw[domain] * div_u64(now_ns - loaded_ns, 1000) +
		     busy_mw[domain] * package_busy_us(package, now_ns);
	spin_unlock(&lock);
	return in_units(domain, nanojoules) - in_units(domain, wrap_after_mj[domain] * 1000000ULL);
}

static int read_raw(int cpu, struct reg_action *ra)
{
	ra->value = 0;
	if (ra->reg == UNITS)
		ra->value = UNITS_OF_SKYLAKE;
	else if (ra->reg >= ENERGY_OF(0))
		ra->value = energy(topology_physical_package_id(cpu), ra->reg - ENERGY_OF(0));
	ra->value &= ra->mask;
	return 0;
}

static int write_raw(int cpu, struct reg_action *ra)
{
	return -EOPNOTSUPP;
}

static struct rapl_if_priv registers = {
	.reg_unit = UNITS,
	.regs[RAPL_DOMAIN_PACKAGE][RAPL_DOMAIN_REG_STATUS] = ENERGY_OF(RAPL_DOMAIN_PACKAGE),
	.regs[RAPL_DOMAIN_PP0][RAPL_DOMAIN_REG_STATUS] = ENERGY_OF(RAPL_DOMAIN_PP0),
	.regs[RAPL_DOMAIN_DRAM][RAPL_DOMAIN_REG_STATUS] = ENERGY_OF(RAPL_DOMAIN_DRAM),
	.read_raw = read_raw,
	.write_raw = write_raw,
};

/* The scheduler's tracepoint has no symbol for modules, but can be found. */
static void __init find_switch(struct tracepoint *tracepoint, void *found)
{
	if (!strcmp(tracepoint->name, "sched_switch"))
		*(struct tracepoint **)found = tracepoint;
}

static void __init forget_switch(struct tracepoint *on)
{
	tracepoint_probe_unregister(on, on_switch, NULL);
	tracepoint_synchronize_unregister();
}

/* Only for a start that failed: once loaded this stays, as registers do. */
static void __init remove(void)
{
	int package;

	for (package = 0; package < MAX_PACKAGES; package++) {
		if (packages[package])
			rapl_remove_package(packages[package]);
	}
	powercap_unregister_control_type(registers.control_type);
}

static int __init hxmlops_rapl_init(void)
{
	struct tracepoint *on = NULL;
	int cpu, package, error;

	for_each_kernel_tracepoint(find_switch, &on);
	if (!on)
		return -ENOENT;
	loaded_ns = ktime_get_mono_fast_ns();
	error = tracepoint_probe_register(on, on_switch, NULL);
	if (error)
		return error;
	registers.control_type = powercap_register_control_type(NULL, "intel-rapl", NULL);
	if (IS_ERR(registers.control_type)) {
		forget_switch(on);
		return PTR_ERR(registers.control_type);
	}
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		package = topology_physical_package_id(cpu);
		if (package >= MAX_PACKAGES || packages[package])
			continue;
		packages[package] = rapl_add_package(cpu, &registers);
		if (IS_ERR(packages[package])) {
			error = PTR_ERR(packages[package]);
			packages[package] = NULL;
			break;
		}
		cpumask_set_cpu(cpu, &packages[package]->cpumask);
	}
	cpus_read_unlock();
	if (error) {
		remove();
		forget_switch(on);
	}
	return error;
}

module_init(hxmlops_rapl_init);
MODULE_DESCRIPTION("RAPL registers for tests");
MODULE_LICENSE("GPL");
