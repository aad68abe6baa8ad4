// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the invalidation queue: errors of the hardware, by whom they are
 * caused and who is told; and of what goes through it on behalf of one device:
 * the drain of its page requests, flushes of its TLB, and the end of a binding. The
 * hardware is a thread that fetches descriptors from the queue of a made-up unit,
 * whose registers are memory.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/pci.h>

#include "uapi.h"
#include "pasid.h"
#include "../iommu-pages.h"

/* Requester IDs: one that answers, one that does not, one of another submitter */
#define ALIVE	0x0108
#define DEAD	0x0210
#define OTHER	0x0318

/* A status bit that no hardware has: software has not yet written the others. */
#define FSTS_NEW	BIT(30)

#define ATS_CAP		0x100
#define MAX_SEEN	256

/* PASID of page requests and tags, where there is one */
#define PASID		5

/* What the driver drains in this test, in a thread of its own each */
#define MAX_DRAINS	2

/* What guests have bound to the device, to PASID and those behind it */
#define MAX_BONDS	4

struct fake_hw;

struct drain {
	struct fake_hw *hw;
	struct task_struct *thread;
	u32 pasid;
	struct completion done;
};

struct fake_hw {
	struct intel_iommu iommu;
	struct q_inval qi;
	struct task_struct *thread;
	bool wanted, running;

	/* What it is to do */
	bool tells_sid;		/* whose invalidation has timed out */
	unsigned int ahead;	/* descriptors that it fetches until a time-out */
	unsigned int others;	/* time-outs of OTHER, at wait descriptors */
	bool late;		/* a page request of DEAD that is on its way */

	/* What it has done: qw0 of the invalidations before a wait descriptor */
	u64 fetched[MAX_SEEN], done[MAX_SEEN];
	unsigned int nr_fetched, nr_done;
	unsigned int timeouts;

	/* The device with the ID DEAD, once it is known to the unit */
	struct device_domain_info info;
	struct pci_dev *pdev;
	struct pci_bus bus;
	u16 ats_ctrl;
	unsigned int deaf;	/* to so many writes of its ATS register */
	bool gone;		/* with nothing that would tell so */
	bool answers;		/* for once */
	struct iommu_uapi_bond bonds[MAX_BONDS];

	/* What of these has been told of faults, and what not any more */
	unsigned int told[MAX_BONDS];
	unsigned int nr_ending;

	struct iopf_queue *iopf_queue;
	struct drain drains[MAX_DRAINS];
	unsigned int nr_drains;
};

static u32 get_reg(struct fake_hw *hw, unsigned int reg)
{
	return readl(hw->iommu.reg + reg);
}

static void set_reg(struct fake_hw *hw, unsigned int reg, u32 value)
{
	writel(value, hw->iommu.reg + reg);
}

static unsigned int next(unsigned int index, unsigned int n)
{
	return (index + n) % QI_LENGTH;
}

/* Without ATS it has no TLB, and answers. */
static bool is_dead(struct fake_hw *hw, u16 sid)
{
	return sid == DEAD && !hw->answers &&
	       (hw->gone || hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
}

static void time_out(struct fake_hw *hw, unsigned int head, u16 sid)
{
	unsigned int tail = get_reg(hw, DMAR_IQT_REG) >> DMAR_IQ_SHIFT;
	unsigned int i;

	/* What is fetched together with it is lost. */
	for (i = 0; i < hw->ahead && head != tail; i++)
		head = next(head, 1);
	hw->timeouts++;
	hw->nr_fetched = 0;
	set_reg(hw, DMAR_IQH_REG, head << DMAR_IQ_SHIFT);
	set_reg(hw, DMAR_IQER_REG + 4, hw->tells_sid ? sid : 0);
	/* Orders the other registers before the one that software polls */
	wmb();
	set_reg(hw, DMAR_FSTS_REG, DMA_FSTS_ITE | FSTS_NEW);
}

/* A page request comes into the queue: VT-d specification, section 7.4.1.1 */
static void add_request(struct fake_hw *hw, u16 sid, u32 pasid)
{
	u32 tail = get_reg(hw, DMAR_PQT_REG);
	u64 *qw = (void *)hw->iommu.prq + tail;

	qw[0] = 1 | (u64)sid << 16;
	if (pasid != IOMMU_NO_PASID)
		qw[0] |= BIT(8) | (u64)pasid << 32;
	set_reg(hw, DMAR_PQT_REG, tail + 32);
}

static void hw_wait(struct fake_hw *hw, const struct qi_desc *wait)
{
	unsigned int i;

	for (i = 0; i < hw->nr_fetched && hw->nr_done < MAX_SEEN; i++)
		hw->done[hw->nr_done++] = hw->fetched[i];
	hw->nr_fetched = 0;
	/* PD: page requests that are on their way come first */
	if (wait->qw0 & BIT(7) && hw->late) {
		hw->late = false;
		add_request(hw, DEAD, PASID);
	}
	/* SW: write the status */
	if (wait->qw0 & BIT(5))
		WRITE_ONCE(*(u32 *)phys_to_virt(wait->qw1), wait->qw0 >> 32);
}

/* One step of the hardware: the types of descriptors are in its low bits */
static void fetch(struct fake_hw *hw)
{
	u32 status = get_reg(hw, DMAR_FSTS_REG);
	unsigned long flags;
	struct qi_desc desc;
	unsigned int head;
	u16 sid;

	/* It stands still until software has written the status. */
	if (status & FSTS_NEW)
		return;
	if (status) {
		/* Nobody has seen it and acts on it only later. */
		raw_spin_lock_irqsave(&hw->qi.q_lock, flags);
		set_reg(hw, DMAR_FSTS_REG, 0);
		raw_spin_unlock_irqrestore(&hw->qi.q_lock, flags);
	}
	if (get_reg(hw, DMAR_IQH_REG) == get_reg(hw, DMAR_IQT_REG))
		return;
	/* Orders the descriptors behind the tail, which is written after them */
	rmb();
	head = get_reg(hw, DMAR_IQH_REG) >> DMAR_IQ_SHIFT;
	memcpy(&desc, hw->qi.desc + (head << DMAR_IQ_SHIFT), 1 << DMAR_IQ_SHIFT);
	switch (desc.qw0 & 15) {
	case 2:	/* IOTLB */
	case 6:	/* IOTLB, by PASID */
	case 7:	/* PASID cache */
		break;
	case 3:	/* Device TLB */
	case 8:	/* Device TLB, by PASID: its ID is in other bits */
		sid = (desc.qw0 & 15) == 8 ? desc.qw0 >> 16 : desc.qw0 >> 32;
		if (!is_dead(hw, sid))
			break;
		time_out(hw, next(head, 1), sid);
		return;
	case 5:	/* Wait */
		if (hw->others) {
			hw->others--;
			time_out(hw, next(head, 1), OTHER);
			return;
		}
		hw_wait(hw, &desc);
		set_reg(hw, DMAR_IQH_REG, next(head, 1) << DMAR_IQ_SHIFT);
		return;
	default:
		/* Orders what was done before the error */
		wmb();
		set_reg(hw, DMAR_FSTS_REG, DMA_FSTS_IQE | FSTS_NEW);
		return;
	}
	if (hw->nr_fetched < MAX_SEEN)
		hw->fetched[hw->nr_fetched++] = desc.qw0;
	set_reg(hw, DMAR_IQH_REG, next(head, 1) << DMAR_IQ_SHIFT);
}

/* While it is wanted, nothing else runs on its CPU that might wait for the other. */
static int hw_thread(void *data)
{
	struct fake_hw *hw = data;

	while (!kthread_should_stop()) {
		preempt_disable();
		/* After that come the test's settings: see submit() */
		while (smp_load_acquire(&hw->wanted) && !kthread_should_stop()) {
			WRITE_ONCE(hw->running, true);
			fetch(hw);
			cpu_relax();
		}
		WRITE_ONCE(hw->running, false);
		preempt_enable();
		usleep_range(50, 100);
	}
	return 0;
}

static void hw_begin(struct fake_hw *hw)
{
	/* Written, but the hardware had no time to see it */
	set_reg(hw, DMAR_FSTS_REG, 0);
	/* What the hardware is to do is there before it begins: hw_thread() */
	smp_store_release(&hw->wanted, true);
	while (!READ_ONCE(hw->running))
		usleep_range(50, 100);
}

static void hw_end(struct fake_hw *hw)
{
	WRITE_ONCE(hw->wanted, false);
	while (READ_ONCE(hw->running))
		usleep_range(50, 100);
}

static int submit(struct fake_hw *hw, struct qi_desc *desc, unsigned int count,
		  unsigned long options)
{
	int ret;

	hw_begin(hw);
	ret = qi_submit_sync(&hw->iommu, desc, count, options);
	hw_end(hw);
	return ret;
}

/* Configuration space of the device: its identity and the ATS capability */
static int fake_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct fake_hw *hw = container_of(bus, struct fake_hw, bus);

	*val = hw->gone ? ~0 :
	       where == PCI_VENDOR_ID ? 0x11ea1234 :
	       where == ATS_CAP + PCI_ATS_CTRL ? hw->ats_ctrl : 0;
	return PCIBIOS_SUCCESSFUL;
}

static int fake_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct fake_hw *hw = container_of(bus, struct fake_hw, bus);

	if (hw->gone)
		return PCIBIOS_SUCCESSFUL;
	if (where == ATS_CAP + PCI_ATS_CTRL && hw->deaf)
		hw->deaf--;
	else if (where == ATS_CAP + PCI_ATS_CTRL)
		hw->ats_ctrl = val;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
};

/* Have the unit know the device that does not answer */
static void add_device(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	struct dev_iommu *param = kunit_kzalloc(test, sizeof(*param), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_NOT_NULL(test, param);
	hw->bus.ops = &fake_ops;
	pdev->bus = &hw->bus;
	pdev->devfn = DEAD & 0xff;
	pdev->dev.bus = &pci_bus_type;
	pdev->dev.iommu = param;
	pdev->ats_cap = ATS_CAP;
	pdev->ats_enabled = 1;
	param->priv = &hw->info;
	hw->pdev = pdev;
	hw->info.dev = &pdev->dev;
	hw->info.iommu = &hw->iommu;
	hw->info.bus = DEAD >> 8;
	hw->info.devfn = DEAD & 0xff;
	hw->info.ats_enabled = 1;
	rb_link_node(&hw->info.node, NULL, &hw->iommu.device_rbtree.rb_node);
	rb_insert_color(&hw->info.node, &hw->iommu.device_rbtree);
}

static struct qi_desc iotlb(unsigned int did)
{
	return (struct qi_desc) { .qw0 = 2 | 2 << 4 | (u64)did << 16 };
}

static struct qi_desc dev_tlb(u16 sid)
{
	return (struct qi_desc) {
		.qw0 = 3 | (u64)sid << 32,
		.qw1 = GENMASK_ULL(62, 12) | 1,
	};
}

static bool is_done(struct fake_hw *hw, struct qi_desc desc)
{
	unsigned int i;

	for (i = 0; i < hw->nr_done; i++)
		if (hw->done[i] == desc.qw0)
			return true;
	return false;
}

static void expect_same(struct kunit *test, const struct qi_desc *got,
			struct qi_desc want)
{
	KUNIT_EXPECT_EQ(test, got->qw0, want.qw0);
	KUNIT_EXPECT_EQ(test, got->qw1, want.qw1);
}

/* In its place there is a wait descriptor with no status: fence only. */
static void expect_given_up(struct kunit *test, const struct qi_desc *desc)
{
	expect_same(test, desc, (struct qi_desc) { .qw0 = 5 | 1 << 6 });
}

/* All of the queue is free, and takes more. */
static void expect_usable(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc = iotlb(0x77);

	hw->nr_done = 0;
	KUNIT_EXPECT_EQ(test, submit(hw, &desc, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, hw->nr_done, 1);
	KUNIT_EXPECT_TRUE(test, is_done(hw, desc));
	KUNIT_EXPECT_EQ(test, hw->qi.free_cnt, QI_LENGTH);
}

static void test_no_error(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { iotlb(1), dev_tlb(ALIVE), iotlb(2) };
	int i;

	/* More than once around the queue */
	for (i = 0; i < QI_LENGTH; i++) {
		hw->nr_done = 0;
		KUNIT_ASSERT_EQ(test, submit(hw, desc, 3, 0), 0);
		KUNIT_ASSERT_EQ(test, hw->nr_done, 3);
	}
	expect_same(test, &desc[1], dev_tlb(ALIVE));
	KUNIT_EXPECT_EQ(test, hw->timeouts, 0);
	expect_usable(test);
}

/* Only what is for the device that has not answered is given up. */
static void test_whose_timeout(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	for (hw->ahead = 0; hw->ahead < 5; hw->ahead++) {
		struct qi_desc desc[] = {
			iotlb(1), dev_tlb(DEAD), dev_tlb(ALIVE), iotlb(2),
		};

		hw->nr_done = 0;
		hw->timeouts = 0;
		KUNIT_EXPECT_EQ(test, submit(hw, desc, 4, QI_OPT_BOUNDED),
				-ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, hw->timeouts, 1);
		expect_same(test, &desc[0], iotlb(1));
		expect_given_up(test, &desc[1]);
		expect_same(test, &desc[2], dev_tlb(ALIVE));
		expect_same(test, &desc[3], iotlb(2));
		KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(1)));
		KUNIT_EXPECT_FALSE(test, is_done(hw, dev_tlb(DEAD)));
		KUNIT_EXPECT_TRUE(test, is_done(hw, dev_tlb(ALIVE)));
		KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(2)));
		expect_usable(test);
	}
}

/* What was before the time-out is not done either, if its wait came too late. */
static void test_late_wait(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { iotlb(1), dev_tlb(ALIVE), dev_tlb(DEAD) };

	KUNIT_EXPECT_EQ(test, submit(hw, desc, 3, QI_OPT_BOUNDED), -ETIMEDOUT);
	KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(1)));
	KUNIT_EXPECT_TRUE(test, is_done(hw, dev_tlb(ALIVE)));
	expect_given_up(test, &desc[2]);
	expect_usable(test);
}

/* The time-out of another submitter costs time, not the result. */
static void test_timeout_of_another(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { iotlb(1), dev_tlb(ALIVE) };
	unsigned int told;

	for (told = 0; told < 2; told++) {
		hw->tells_sid = told;
		hw->others = 2;
		hw->timeouts = 0;
		hw->nr_done = 0;
		KUNIT_EXPECT_EQ(test, submit(hw, desc, 1, 0), 0);
		KUNIT_EXPECT_EQ(test, hw->timeouts, 2);
		KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(1)));
	}
	/* With a device TLB, as the hardware tells whose it was */
	hw->others = 2;
	KUNIT_EXPECT_EQ(test, submit(hw, desc, 2, QI_OPT_BOUNDED), 0);
	KUNIT_EXPECT_TRUE(test, is_done(hw, dev_tlb(ALIVE)));
	expect_same(test, &desc[1], dev_tlb(ALIVE));

	/* But not without end, if the caller has said so */
	hw->others = 1000;
	hw->timeouts = 0;
	hw->nr_done = 0;
	KUNIT_EXPECT_EQ(test, submit(hw, desc, 2, QI_OPT_BOUNDED), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, hw->timeouts, 16);
	KUNIT_EXPECT_EQ(test, hw->nr_done, 0);
	hw->others = 0;
	expect_usable(test);
}

/* Older hardware does not tell: the device that is asked may have been it. */
static void test_suspect(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { iotlb(1), dev_tlb(DEAD), iotlb(2) };

	add_device(test);
	hw->tells_sid = false;
	KUNIT_EXPECT_EQ(test, submit(hw, desc, 3, QI_OPT_BOUNDED), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, hw->timeouts, 3);
	expect_same(test, &desc[0], iotlb(1));
	expect_given_up(test, &desc[1]);
	KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(2)));
	/* Who is told does not need it done by force. */
	KUNIT_EXPECT_TRUE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_FALSE(test, hw->info.ats_dead);
	expect_usable(test);
}

static void kill_ats(struct kunit *test, unsigned int tries)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { iotlb(1), dev_tlb(DEAD), dev_tlb(ALIVE) };

	add_device(test);
	KUNIT_EXPECT_EQ(test, submit(hw, desc, 3, 0), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, hw->timeouts, tries);
	KUNIT_EXPECT_FALSE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_TRUE(test, hw->info.ats_dead);
	KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(1)));
	KUNIT_EXPECT_TRUE(test, is_done(hw, dev_tlb(ALIVE)));
	expect_usable(test);
}

/* Who cannot fail has ATS switched off, and only then goes on. */
static void test_kill_ats(struct kunit *test)
{
	kill_ats(test, 3);
}

static void test_kill_ats_suspect(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	hw->tells_sid = false;
	kill_ats(test, 16);
}

/* A device that is not there any more has nothing to invalidate. */
static void test_no_device(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct qi_desc desc[] = { dev_tlb(DEAD), iotlb(1) };

	add_device(test);
	hw->pdev->error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_EQ(test, submit(hw, desc, 2, 0), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, hw->timeouts, 1);
	KUNIT_EXPECT_FALSE(test, hw->info.ats_dead);
	expect_given_up(test, &desc[0]);
	KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(1)));
	expect_usable(test);
}

/* One descriptor that the hardware does not know, at any place */
static void test_queue_error(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	int bad;

	for (bad = 0; bad < 3; bad++) {
		struct qi_desc desc[] = { iotlb(0), iotlb(1), iotlb(2) };

		desc[bad].qw0 = 15;
		hw->nr_done = 0;
		KUNIT_EXPECT_EQ(test, submit(hw, desc, 3, 0), -EINVAL);
		/* Once, and the rest has not been dropped. */
		KUNIT_EXPECT_EQ(test, hw->nr_done, 2);
		KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(!bad)));
		KUNIT_EXPECT_TRUE(test, is_done(hw, iotlb(bad == 2 ? 1 : 2)));
		expect_usable(test);
	}
}

/* Descriptors of a type, of those that are done */
static unsigned int nr_done(struct fake_hw *hw, unsigned int type)
{
	unsigned int i, n = 0;

	for (i = 0; i < hw->nr_done; i++)
		n += (hw->done[i] & 15) == type;
	return n;
}

/*
 * The device can send page requests. Somebody else takes them out of the queue, and
 * completes prq_complete then.
 */
static void add_requests(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct iommu_fault_param *fault;

	add_device(test);
	/* It answers. */
	hw->ats_ctrl = 0;
	hw->info.pri_enabled = 1;
	hw->iopf_queue = iopf_queue_alloc("fake-prq");
	KUNIT_ASSERT_NOT_NULL(test, hw->iopf_queue);
	fault = kunit_kzalloc(test, sizeof(*fault), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fault);
	fault->queue = hw->iopf_queue;
	rcu_assign_pointer(hw->pdev->dev.iommu->fault_param, fault);
	init_completion(&hw->iommu.prq_complete);
	mutex_init(&hw->iommu.prq_drain_lock);
	hw->iommu.prq = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hw->iommu.prq);
}

static void take_requests(struct fake_hw *hw)
{
	set_reg(hw, DMAR_PQH_REG, get_reg(hw, DMAR_PQT_REG));
}

static int drain_thread(void *data)
{
	struct drain *drain = data;

	intel_iommu_drain_pasid_prq(&drain->hw->pdev->dev, drain->pasid);
	complete_all(&drain->done);
	while (!kthread_should_stop())
		usleep_range(50, 100);
	return 0;
}

static struct drain *begin_drain(struct kunit *test, u32 pasid)
{
	struct fake_hw *hw = test->priv;
	struct drain *drain = &hw->drains[hw->nr_drains];

	drain->hw = hw;
	drain->pasid = pasid;
	init_completion(&drain->done);
	drain->thread = kthread_run_on_cpu(drain_thread, drain,
					   raw_smp_processor_id(), "drain/%u");
	KUNIT_ASSERT_FALSE(test, IS_ERR(drain->thread));
	hw->nr_drains++;
	return drain;
}

/* At its end, or soon. This much is little, and what goes on cannot be seen. */
static bool is_drained(struct drain *drain)
{
	return wait_for_completion_timeout(&drain->done, msecs_to_jiffies(40));
}

/* It ends, however slow the machine is */
static bool will_be_drained(struct drain *drain)
{
	return wait_for_completion_timeout(&drain->done, msecs_to_jiffies(3000));
}

/* How often requests are handled until the drain is at its end; @max: never */
static unsigned int runs_until_drained(struct drain *drain, unsigned int max)
{
	unsigned int i;

	for (i = 0; i < max && !is_drained(drain); i++)
		complete(&drain->hw->iommu.prq_complete);
	return i;
}

/* Whatever the driver does wrong, its threads come to their end */
static void end_drains(struct fake_hw *hw)
{
	struct drain *drain;

	take_requests(hw);
	set_reg(hw, DMAR_PRS_REG, 0);
	while (hw->nr_drains) {
		drain = &hw->drains[hw->nr_drains - 1];
		while (!is_drained(drain))
			complete(&hw->iommu.prq_complete);
		kthread_stop(drain->thread);
		hw->nr_drains--;
	}
}

/* A device that sends on and on does not keep anybody from unbinding. */
static void test_drain_is_bounded(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	unsigned int runs;

	add_requests(test);
	hw_begin(hw);

	/* Those in the queue now are handled by the next run, or the one after */
	add_request(hw, DEAD, PASID);
	runs = runs_until_drained(begin_drain(test, PASID), 20);
	end_drains(hw);
	KUNIT_EXPECT_GE(test, runs, 1);
	KUNIT_EXPECT_LT(test, runs, 20);

	/* An overflow begins it anew, not for ever. */
	set_reg(hw, DMAR_PRS_REG, DMA_PRS_PRO);
	runs = runs_until_drained(begin_drain(test, PASID), 40);
	end_drains(hw);
	KUNIT_EXPECT_GE(test, runs, 1);
	KUNIT_EXPECT_LT(test, runs, 40);

	/* Those of another device are not waited for. */
	add_request(hw, OTHER, PASID);
	add_request(hw, DEAD, PASID + 1);
	add_request(hw, DEAD, IOMMU_NO_PASID);
	KUNIT_EXPECT_TRUE(test, will_be_drained(begin_drain(test, PASID)));
	end_drains(hw);
	hw_end(hw);
	expect_usable(test);
}

/* What is on its way when the drain begins is waited for as well. */
static void test_drain_waits_for_late(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct drain *drain;

	add_requests(test);
	hw->late = true;
	hw_begin(hw);
	drain = begin_drain(test, PASID);
	KUNIT_EXPECT_FALSE(test, is_drained(drain));
	KUNIT_EXPECT_FALSE(test, hw->late);
	take_requests(hw);
	complete(&hw->iommu.prq_complete);
	KUNIT_EXPECT_TRUE(test, will_be_drained(drain));
	end_drains(hw);
	hw_end(hw);
	expect_usable(test);
}

/* Each that waits is woken. */
static void test_two_drains(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct drain *with, *without;

	add_requests(test);
	hw_begin(hw);
	add_request(hw, DEAD, PASID);
	add_request(hw, DEAD, IOMMU_NO_PASID);
	with = begin_drain(test, PASID);
	without = begin_drain(test, IOMMU_NO_PASID);
	KUNIT_EXPECT_FALSE(test, is_drained(with));
	KUNIT_EXPECT_FALSE(test, is_drained(without));
	take_requests(hw);
	complete(&hw->iommu.prq_complete);
	KUNIT_EXPECT_TRUE(test, will_be_drained(with));
	KUNIT_EXPECT_TRUE(test, will_be_drained(without));
	end_drains(hw);
	hw_end(hw);
	expect_usable(test);
}

/* Requests without PASID are drained as well, and a TLB that is off is not asked. */
static void test_drain_without_pasid(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct drain *drain;

	add_requests(test);
	hw_begin(hw);
	add_request(hw, DEAD, IOMMU_NO_PASID);
	drain = begin_drain(test, IOMMU_NO_PASID);
	KUNIT_EXPECT_FALSE(test, is_drained(drain));
	end_drains(hw);
	KUNIT_EXPECT_EQ(test, nr_done(hw, 3), 1);

	hw->nr_done = 0;
	hw->info.ats_enabled = 0;
	drain = begin_drain(test, IOMMU_NO_PASID);
	KUNIT_EXPECT_TRUE(test, will_be_drained(drain));
	end_drains(hw);
	KUNIT_EXPECT_EQ(test, nr_done(hw, 2), 1);
	KUNIT_EXPECT_EQ(test, nr_done(hw, 3), 0);
	hw_end(hw);
	expect_usable(test);
}

/* What a device has cached under a PASID is flushed under it, and nothing else. */
static void test_flush_all_of_pasid(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct cache_tag tag = {
		.type = CACHE_TAG_DEVTLB,
		.iommu = &hw->iommu,
		.pasid = PASID,
	};
	struct dmar_domain *domain;
	unsigned long pasid;

	add_device(test);
	hw->ats_ctrl = 0;
	hw->iommu.gcmd = DMA_GCMD_TE;
	tag.dev = &hw->pdev->dev;
	domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->qi_batch = kunit_kzalloc(test, sizeof(*domain->qi_batch),
					 GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain->qi_batch);
	spin_lock_init(&domain->cache_lock);
	INIT_LIST_HEAD(&domain->cache_tags);
	list_add(&tag.node, &domain->cache_tags);

	hw_begin(hw);
	cache_tag_flush_all(domain);
	hw_end(hw);
	KUNIT_ASSERT_EQ(test, hw->nr_done, 1);
	KUNIT_EXPECT_EQ(test, hw->done[0] & 15, 8);
	pasid = hw->done[0] >> 32 & GENMASK(19, 0);
	KUNIT_EXPECT_EQ(test, pasid, PASID);
	expect_usable(test);
}

/* The device has a PASID table, with nothing in it. */
static struct pasid_dir_entry *add_table(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	add_device(test);
	spin_lock_init(&hw->iommu.lock);
	hw->iommu.gcmd = DMA_GCMD_TE;
	hw->iommu.node = NUMA_NO_NODE;
	KUNIT_ASSERT_EQ(test, intel_pasid_alloc_table(&hw->pdev->dev), 0);
	return hw->info.pasid_table->table;
}

/* Something translates the requests with PASID. */
static void add_entry(struct kunit *test)
{
	struct pasid_dir_entry *dir = add_table(test);
	struct pasid_entry *entries;

	entries = iommu_alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, entries);
	/* Present, pass-through */
	entries[PASID].val[0] = 1 | 4 << 6;
	dir[0].val = virt_to_phys(entries) | 1;
}

static void tear_down(struct fake_hw *hw)
{
	hw_begin(hw);
	intel_pasid_tear_down_entry(&hw->iommu, &hw->pdev->dev, PASID, false);
	hw_end(hw);
}

/* The ATS that a teardown takes away comes back with a reset, and is not missed then. */
static void test_teardown(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	add_entry(test);
	tear_down(hw);
	KUNIT_EXPECT_EQ(test, hw->timeouts, 1);
	KUNIT_EXPECT_FALSE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_TRUE(test, dev_tlb_is_off(&hw->info));
	/* By this the PCI core knows what it has to restore, or knew just before */
	KUNIT_EXPECT_TRUE(test, hw->pdev->ats_enabled);
	hw->ats_ctrl |= PCI_ATS_CTRL_ENABLE;
	KUNIT_EXPECT_FALSE(test, dev_tlb_is_off(&hw->info));
	expect_usable(test);
}

/* A device that neither answers nor lets go of ATS is not left with what it has. */
static void test_teardown_again(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	add_entry(test);
	hw->deaf = 1;
	tear_down(hw);
	KUNIT_EXPECT_FALSE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_TRUE(test, dev_tlb_is_off(&hw->info));
	expect_usable(test);
}

/* One that has joined the group after the attach is asked to detach as well. */
static void test_remove_absent(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct pasid_dir_entry *dir = add_table(test);
	struct dmar_domain *domain;

	domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->domain.type = IOMMU_DOMAIN_NESTED;
	spin_lock_init(&domain->lock);
	INIT_LIST_HEAD(&domain->dev_pasids);
	intel_iommu_ops.remove_dev_pasid(&hw->pdev->dev, PASID, &domain->domain);
	/* Not even a page to find nothing in */
	KUNIT_EXPECT_EQ(test, dir[0].val, 0);
	KUNIT_EXPECT_EQ(test, hw->nr_done, 0);
}

/* A page of the table is there before its first entry is, and taken again. */
static void test_make_room(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct pasid_dir_entry *dir = add_table(test);
	u64 first;

	KUNIT_EXPECT_EQ(test, intel_pasid_make_room(&hw->pdev->dev, 64), 0);
	KUNIT_EXPECT_EQ(test, dir[0].val, 0);
	first = dir[1].val;
	KUNIT_EXPECT_TRUE(test, first & 1);
	KUNIT_EXPECT_EQ(test, intel_pasid_make_room(&hw->pdev->dev, 127), 0);
	KUNIT_EXPECT_EQ(test, dir[1].val, first);
	KUNIT_EXPECT_EQ(test, dir[2].val, 0);
}

static void no_fault_work(struct work_struct *work)
{
}

/* A guest has tables for the requests with PASID, and those behind it. */
static void add_bonds(struct kunit *test, unsigned int nr)
{
	struct fake_hw *hw = test->priv;
	unsigned int i;

	add_device(test);
	hw->iommu.gcmd = DMA_GCMD_TE;
	/* None */
	hw->iommu.irq = INT_MAX;
	raw_spin_lock_init(&hw->iommu.register_lock);
	mutex_init(&hw->iommu.iopf_lock);
	INIT_WORK(&hw->iommu.fault_work, no_fault_work);
	for (i = 0; i < nr; i++) {
		hw->bonds[i].dev = &hw->pdev->dev;
		hw->bonds[i].pasid = PASID + i;
		KUNIT_ASSERT_NOT_NULL(test, intel_uapi_add_bond(&hw->bonds[i]));
	}
}

/* The guest's invalidation of all that the device has cached */
static int invalidate(struct fake_hw *hw)
{
	const struct iommu_cache_invalidate_info inv = {
		.cache = IOMMU_CACHE_INV_TYPE_DEV_IOTLB,
		.granularity = IOMMU_INV_GRANU_PASID,
	};
	int ret;

	hw_begin(hw);
	ret = intel_uapi_ops.invalidate(&hw->bonds[0], &inv);
	hw_end(hw);
	return ret;
}

/* A device that is gone is asked once. That it has nothing cached nobody knows. */
static void test_vanished(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	int i;

	add_bonds(test, 1);
	hw->gone = true;
	KUNIT_EXPECT_EQ(test, invalidate(hw), -ETIMEDOUT);
	for (i = 0; i < 20; i++)
		KUNIT_EXPECT_EQ(test, invalidate(hw), -EIO);
	KUNIT_EXPECT_EQ(test, hw->timeouts, 1);

	/* Who cannot fail can do no more, */
	KUNIT_EXPECT_TRUE(test, qi_kill_ats(&hw->info));
	KUNIT_EXPECT_TRUE(test, dev_tlb_is_off(&hw->info));
	KUNIT_EXPECT_EQ(test, invalidate(hw), -EIO);
	/* and if it comes back, it is after a reset. */
	hw->gone = false;
	hw->ats_ctrl = 0;
	KUNIT_EXPECT_TRUE(test, dev_tlb_is_off(&hw->info));
	KUNIT_EXPECT_EQ(test, invalidate(hw), 0);
	hw->ats_ctrl = PCI_ATS_CTRL_ENABLE;
	KUNIT_EXPECT_FALSE(test, dev_tlb_is_off(&hw->info));
	expect_usable(test);
}

/* How often the device may not answer before it loses ATS */
static int nr_timeouts(struct fake_hw *hw)
{
	int n = 0;

	while (n < 100 && invalidate(hw))
		n++;
	return n;
}

/* What it answers now and then does not make up for what it does not. */
static void test_timeouts_add_up(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	int i;

	add_bonds(test, 1);
	for (i = 0; i < 15; i++)
		KUNIT_EXPECT_EQ(test, invalidate(hw), -ETIMEDOUT);
	hw->answers = true;
	KUNIT_EXPECT_EQ(test, invalidate(hw), 0);
	hw->answers = false;
	/* Nor does what it is not asked, as it is without ATS until a reset */
	hw->info.ats_dead = true;
	hw->ats_ctrl = 0;
	KUNIT_EXPECT_EQ(test, invalidate(hw), 0);
	hw->ats_ctrl = PCI_ATS_CTRL_ENABLE;

	KUNIT_EXPECT_EQ(test, nr_timeouts(hw), 1);
	KUNIT_EXPECT_TRUE(test, dev_tlb_is_off(&hw->info));
	KUNIT_EXPECT_FALSE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	expect_usable(test);
}

/* Time does. */
static void test_timeouts_are_forgiven(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	int i;

	add_bonds(test, 1);
	for (i = 0; i < 15; i++)
		KUNIT_EXPECT_EQ(test, invalidate(hw), -ETIMEDOUT);
	hw->info.inv_since -= 3700 * HZ;
	KUNIT_EXPECT_EQ(test, nr_timeouts(hw), 16);
	KUNIT_EXPECT_FALSE(test, hw->ats_ctrl & PCI_ATS_CTRL_ENABLE);
	expect_usable(test);
}

/* The last nr_ending of the bonds are told of nothing any more. */
static int fake_report(struct iommu_uapi_bond *bond,
		       const struct iommu_fault_unrecoverable *event)
{
	struct fake_hw *hw = kunit_get_current_test()->priv;
	unsigned int i = bond - hw->bonds;

	hw->told[i]++;
	return i >= MAX_BONDS - hw->nr_ending ? -ENODEV : 0;
}

static bool fault(struct fake_hw *hw, u32 pasid)
{
	memset(hw->told, 0, sizeof(hw->told));
	/* 71h, not present, of a request with PASID */
	return intel_uapi_report_fault(&hw->iommu, 0, DEAD | BIT_ULL(31) |
				       0x71ULL << 32 | (u64)pasid << 40);
}

static unsigned int nr_told(struct fake_hw *hw)
{
	unsigned int i, n = 0;

	for (i = 0; i < MAX_BONDS; i++)
		n += hw->told[i];
	return n;
}

/* A fault that names no bond is for any of the device's that can still be told. */
static void test_fault_of_none(struct kunit *test)
{
	struct fake_hw *hw = test->priv;

	kunit_activate_static_stub(test, iommu_uapi_report_unrecoverable,
				   fake_report);
	KUNIT_EXPECT_FALSE(test, fault(hw, PASID));
	add_bonds(test, MAX_BONDS);
	KUNIT_EXPECT_TRUE(test, fault(hw, PASID + MAX_BONDS));
	KUNIT_EXPECT_EQ(test, nr_told(hw), 1);
	/* The one that was bound last is asked first */
	KUNIT_EXPECT_EQ(test, hw->told[MAX_BONDS - 1], 1);
	hw->nr_ending = 1;
	KUNIT_EXPECT_TRUE(test, fault(hw, PASID + MAX_BONDS));
	KUNIT_EXPECT_EQ(test, nr_told(hw), 2);
	KUNIT_EXPECT_EQ(test, hw->told[MAX_BONDS - 2], 1);

	/* If nobody listens, two of them are asked, not all. */
	hw->nr_ending = MAX_BONDS;
	KUNIT_EXPECT_TRUE(test, fault(hw, PASID + MAX_BONDS));
	KUNIT_EXPECT_EQ(test, nr_told(hw), 2);

	/* What names a bond is for this one or for nobody. */
	KUNIT_EXPECT_TRUE(test, fault(hw, PASID + 1));
	KUNIT_EXPECT_EQ(test, nr_told(hw), 1);
	KUNIT_EXPECT_EQ(test, hw->told[1], 1);
}

static unsigned int nr_tags(const struct dmar_domain *domain,
			    enum cache_tag_type type)
{
	struct cache_tag *tag;
	unsigned int n = 0;

	list_for_each_entry(tag, &domain->cache_tags, node)
		n += tag->type == type;
	return n;
}

/* What is bound while ATS is off has something to invalidate when it is on again. */
static void test_tags_without_ats(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct iommu_domain_info did = { .did = 1 };
	struct dmar_domain *domains, *nested;
	unsigned int i;

	add_device(test);
	hw->info.ats_supported = 1;
	hw->info.ats_enabled = 0;
	domains = kunit_kcalloc(test, 2, sizeof(*domains), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domains);
	nested = &domains[1];
	nested->domain.type = IOMMU_DOMAIN_NESTED;
	nested->s2_domain = &domains[0];
	for (i = 0; i < 2; i++) {
		spin_lock_init(&domains[i].cache_lock);
		INIT_LIST_HEAD(&domains[i].cache_tags);
	}
	xa_init(&nested->iommu_array);
	KUNIT_ASSERT_FALSE(test, xa_err(xa_store(&nested->iommu_array, 0, &did,
						 GFP_KERNEL)));

	KUNIT_EXPECT_EQ(test, cache_tag_assign_domain(nested, &hw->pdev->dev,
						      PASID), 0);
	KUNIT_EXPECT_EQ(test, nr_tags(nested, CACHE_TAG_DEVTLB), 1);
	KUNIT_EXPECT_EQ(test, nr_tags(&domains[0], CACHE_TAG_NESTING_DEVTLB), 1);
	cache_tag_unassign_domain(nested, &hw->pdev->dev, PASID);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, list_empty(&domains[i].cache_tags));
		kfree(domains[i].qi_batch);
	}
	xa_destroy(&nested->iommu_array);
}

/* A unit that cannot nest does not take what tables are to be nested on. */
static void test_nest_parent(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	struct dmar_domain *domain;

	add_device(test);
	domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain);
	hw->iommu.agaw = 2;
	/* Maximum guest address width: 48 bits */
	hw->iommu.cap = 47 << 16;
	domain->agaw = 2;
	domain->max_addr = SZ_1G;
	KUNIT_EXPECT_EQ(test, prepare_domain_attach_device(&domain->domain,
							   &hw->pdev->dev), 0);
	domain->nested_parent = true;
	KUNIT_EXPECT_EQ(test, prepare_domain_attach_device(&domain->domain,
							   &hw->pdev->dev),
			-EINVAL);
}

static int qi_test_init(struct kunit *test)
{
	unsigned int cpu = cpumask_first(cpu_online_mask);
	unsigned int hw_cpu = cpumask_next(cpu, cpu_online_mask);
	struct fake_hw *hw;

	/* Who submits waits with interrupts off: the hardware is elsewhere. */
	if (hw_cpu >= nr_cpu_ids)
		kunit_skip(test, "the hardware needs a CPU of its own");
	set_cpus_allowed_ptr(current, cpumask_of(cpu));
	hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hw);
	test->priv = hw;
	hw->tells_sid = true;
	hw->ats_ctrl = PCI_ATS_CTRL_ENABLE;
	strscpy(hw->iommu.name, "fake");
	hw->iommu.reg = (void __iomem *)kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	hw->iommu.qi = &hw->qi;
	hw->iommu.device_rbtree = RB_ROOT;
	spin_lock_init(&hw->iommu.device_rbtree_lock);
	raw_spin_lock_init(&hw->qi.q_lock);
	hw->qi.desc = kunit_kzalloc(test, QI_LENGTH << DMAR_IQ_SHIFT, GFP_KERNEL);
	hw->qi.desc_status = kunit_kcalloc(test, QI_LENGTH, sizeof(int), GFP_KERNEL);
	hw->qi.free_cnt = QI_LENGTH;
	KUNIT_ASSERT_NOT_NULL(test, (void __force *)hw->iommu.reg);
	KUNIT_ASSERT_NOT_NULL(test, hw->qi.desc);
	KUNIT_ASSERT_NOT_NULL(test, hw->qi.desc_status);
	hw->thread = kthread_run_on_cpu(hw_thread, hw, hw_cpu, "fake-qi/%u");
	KUNIT_ASSERT_FALSE(test, IS_ERR(hw->thread));
	return 0;
}

static void qi_test_exit(struct kunit *test)
{
	struct fake_hw *hw = test->priv;
	unsigned int i;

	if (!hw || IS_ERR_OR_NULL(hw->thread))
		return;
	end_drains(hw);
	for (i = 0; i < MAX_BONDS; i++)
		if (hw->bonds[i].priv)
			intel_uapi_remove_bond(&hw->bonds[i]);
	if (hw->pdev)
		intel_pasid_free_table(&hw->pdev->dev);
	kthread_stop(hw->thread);
	iopf_queue_free(hw->iopf_queue);
}

static struct kunit_case qi_test_cases[] = {
	KUNIT_CASE(test_no_error),
	KUNIT_CASE(test_whose_timeout),
	KUNIT_CASE(test_late_wait),
	KUNIT_CASE(test_timeout_of_another),
	KUNIT_CASE(test_suspect),
	KUNIT_CASE(test_kill_ats),
	KUNIT_CASE(test_kill_ats_suspect),
	KUNIT_CASE(test_no_device),
	KUNIT_CASE(test_queue_error),
	KUNIT_CASE(test_drain_is_bounded),
	KUNIT_CASE(test_drain_waits_for_late),
	KUNIT_CASE(test_two_drains),
	KUNIT_CASE(test_drain_without_pasid),
	KUNIT_CASE(test_flush_all_of_pasid),
	KUNIT_CASE(test_teardown),
	KUNIT_CASE(test_teardown_again),
	KUNIT_CASE(test_remove_absent),
	KUNIT_CASE(test_make_room),
	KUNIT_CASE(test_vanished),
	KUNIT_CASE(test_timeouts_add_up),
	KUNIT_CASE(test_timeouts_are_forgiven),
	KUNIT_CASE(test_fault_of_none),
	KUNIT_CASE(test_tags_without_ats),
	KUNIT_CASE(test_nest_parent),
	{}
};

static struct kunit_suite qi_test_suite = {
	.name = "intel-iommu-qi",
	.init = qi_test_init,
	.exit = qi_test_exit,
	.test_cases = qi_test_cases,
};

kunit_test_suites(&qi_test_suite);
