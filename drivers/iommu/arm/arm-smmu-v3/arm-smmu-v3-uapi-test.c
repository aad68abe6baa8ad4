// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the SMMUv3's part of the IOMMU user API: stream table entries,
 * commands and events, above all what emulated hardware does not have (PASIDs,
 * stalls, ATS, range commands) or do (stand still).
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/io-pgtable.h>
#include <linux/pci.h>

#include "arm-smmu-v3-uapi.h"

#define NUM_QWORDS	8

#define BASE_PTR	0x123456789000ULL
#define OTHER_PTR	0x10000000ULL

#define QUEUE_SHIFT	8
#define QUEUE_SIZE	BIT(QUEUE_SHIFT)

/* An SMMU that has a command queue and nothing else, all in plain memory */
struct fake_queue {
	__le64 cmds[QUEUE_SIZE][CMDQ_ENT_DWORDS];
	atomic_long_t valid_map[BITS_TO_LONGS(QUEUE_SIZE)];
	/* Registers */
	u32 prod;
	u32 cons;
	/* The device leaves so many of the next ATC invalidations unanswered. */
	unsigned int atc_silent;
	/* So many were sent while the guest could send others. */
	unsigned int atc_unlocked;
	/* From such a command on it stands still, for so many halves of a wait. */
	u8 stops_at;
	unsigned int stops_for;
};

#define SID_0		0x11
#define SID_1		0x22

struct test_ctx {
	struct arm_smmu_device smmu;
	struct arm_smmu_master master;
	struct arm_smmu_stream streams[2];
	struct io_pgtable pgtable;
	struct arm_smmu_domain stage2;
	struct fake_queue queue;
	struct device dev;
	struct dev_iommu iommu;
	struct iommu_uapi_bond bond;
	/* What a bind changes */
	struct arm_smmu_ste strtab[SID_1 + 1];
	struct arm_smmu_master_domain master_domain;
	struct iommu_fwspec fwspec;
	struct pci_dev *pdev;
	struct pci_bus bus;
	u16 ats_ctrl;
	unsigned int ats_disorder;
	unsigned int nr_ats_on;
	/* A reset brings it back when the stream table has changed. */
	bool resets;
	u32 evtq_prod;
	u32 evtq_cons;
	u64 evts[8][EVTQ_ENT_DWORDS];
	unsigned int nr_lost;
	u32 lost_at;
	struct delayed_work go_on;
};

static int test_init(struct kunit *test)
{
	struct test_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->smmu.features = ARM_SMMU_FEAT_STALLS | ARM_SMMU_FEAT_ATTR_TYPES_OVR |
			     ARM_SMMU_FEAT_2_LVL_CDTAB | ARM_SMMU_FEAT_NESTING |
			     ARM_SMMU_FEAT_TRANS_S1 | ARM_SMMU_FEAT_TRANS_S2 |
			     ARM_SMMU_FEAT_COHERENCY | ARM_SMMU_FEAT_ATS |
			     ARM_SMMU_FEAT_S2FWB;
	ctx->smmu.ias = 48;
	ctx->smmu.asid_bits = 16;
	ctx->smmu.ssid_bits = 20;
	ctx->smmu.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G | SZ_16K | SZ_32M |
				  SZ_64K | SZ_512M;
	ctx->streams[0].id = SID_0;
	ctx->streams[1].id = SID_1;
	ctx->master.smmu = &ctx->smmu;
	ctx->master.streams = ctx->streams;
	ctx->master.num_streams = 2;
	ctx->master.ssid_bits = 20;
	mutex_init(&ctx->master.guest_atc_lock);

	ctx->pgtable.cfg.quirks = IO_PGTABLE_QUIRK_ARM_S2FWB;
	ctx->pgtable.cfg.arm_lpae_s2_cfg.vttbr = 0x5a5a5a5a000ULL;
	ctx->pgtable.cfg.arm_lpae_s2_cfg.vtcr.ps = 5;
	ctx->pgtable.cfg.arm_lpae_s2_cfg.vtcr.sh = 3;
	ctx->pgtable.cfg.arm_lpae_s2_cfg.vtcr.sl = 2;
	ctx->pgtable.cfg.arm_lpae_s2_cfg.vtcr.tsz = 16;
	ctx->stage2.pgtbl_ops = &ctx->pgtable.ops;
	ctx->stage2.stage = ARM_SMMU_DOMAIN_S2;
	ctx->stage2.s2_cfg.vmid = 0x77;
	return 0;
}

static struct iommu_pasid_table_config make_cfg(u8 config, u64 base)
{
	return (struct iommu_pasid_table_config) {
		.argsz = sizeof(struct iommu_pasid_table_config),
		.version = IOMMU_UAPI_VERSION_1,
		.format = IOMMU_PASID_FORMAT_ARM_SMMUV3,
		.config = config,
		.base_ptr = base,
	};
}

static struct iommu_pasid_table_config make_pasid_cfg(u64 base, u8 bits, u8 s1fmt,
						      u8 s1dss)
{
	struct iommu_pasid_table_config cfg =
		make_cfg(IOMMU_PASID_CONFIG_TRANSLATE, base);

	cfg.pasid_bits = bits;
	cfg.vendor.smmuv3.s1fmt = s1fmt;
	cfg.vendor.smmuv3.s1dss = s1dss;
	return cfg;
}

/*
 * Stream table entries
 */
struct test_writer {
	struct arm_smmu_entry_writer writer;
	struct kunit *test;
	const __le64 *from;
	const __le64 *to;
	__le64 *entry;
	unsigned int syncs;
	bool invalid;
};

/* MEV may be early or late: all it does is that like events may be merged. */
static bool looks_like(const __le64 *entry, const __le64 *used,
		       const __le64 *other)
{
	__le64 differ;
	int i;

	for (i = 0; i < NUM_QWORDS; i++) {
		differ = (entry[i] & used[i]) ^ other[i];
		if (i == 1)
			differ &= cpu_to_le64(~STRTAB_STE_1_MEV);
		if (differ)
			return false;
	}
	return true;
}

/* Whenever the hardware may look, it sees the old entry or the new one. */
static void test_writer_sync(struct arm_smmu_entry_writer *writer)
{
	struct test_writer *w = container_of(writer, struct test_writer, writer);
	__le64 used[NUM_QWORDS] = {};

	w->syncs++;
	if (!(w->entry[0] & cpu_to_le64(STRTAB_STE_0_V))) {
		w->invalid = true;
		return;
	}
	arm_smmu_get_ste_used(w->entry, used);
	KUNIT_EXPECT_TRUE(w->test,
			  looks_like(w->entry, used, w->from) ||
			  looks_like(w->entry, used, w->to));
}

static const struct arm_smmu_entry_writer_ops test_writer_ops = {
	.sync = test_writer_sync,
	.get_used = arm_smmu_get_ste_used,
};

static void expect_transition(struct kunit *test,
			      const struct arm_smmu_ste *from,
			      const struct arm_smmu_ste *to,
			      unsigned int syncs, bool hitless)
{
	struct arm_smmu_ste entry = *from;
	struct test_writer w = {
		.writer.ops = &test_writer_ops,
		.test = test,
		.from = from->data,
		.to = to->data,
		.entry = entry.data,
	};

	arm_smmu_write_entry(&w.writer, entry.data, to->data);
	KUNIT_EXPECT_EQ(test, syncs, w.syncs);
	KUNIT_EXPECT_EQ(test, !hitless, w.invalid);
	KUNIT_EXPECT_MEMEQ(test, entry.data, to->data, sizeof(entry));
}

static void make_ste(struct test_ctx *ctx, struct arm_smmu_ste *ste,
		     struct iommu_pasid_table_config cfg, bool ats)
{
	arm_smmu_uapi_make_ste(ste, &ctx->master, &ctx->stage2, &cfg, ats);
}

static void test_ste_fields(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_ste ste, s2;
	u64 w0, w1;

	arm_smmu_make_s2_domain_ste(&s2, &ctx->master, &ctx->stage2, false);
	make_ste(ctx, &ste, make_pasid_cfg(BASE_PTR, 9,
					   IOMMU_PASID_SMMUV3_S1FMT_64K_L2,
					   IOMMU_PASID_SMMUV3_S1DSS_BYPASS),
		 true);
	w0 = le64_to_cpu(ste.data[0]);
	w1 = le64_to_cpu(ste.data[1]);
	/* IHI 0070, section 5.2: V, Config 0b111, S1Fmt, S1ContextPtr, S1CDMax */
	KUNIT_EXPECT_EQ(test, w0, 1ULL | 7ULL << 1 | 2ULL << 4 | BASE_PTR |
				  9ULL << 59);
	/*
	 * S1DSS, S1CIR, S1COR, S1CSH, MEV, S2FWB, S1STALLD, EATS, STRW = EL1,
	 * SHCFG
	 */
	KUNIT_EXPECT_EQ(test, w1, 1ULL | 1ULL << 2 | 1ULL << 4 | 3ULL << 6 |
				  1ULL << 19 | 1ULL << 25 | 1ULL << 27 |
				  1ULL << 28 | 1ULL << 44);
	/* Stage 2 is the domain's */
	KUNIT_EXPECT_EQ(test, le64_to_cpu(ste.data[2]),
			le64_to_cpu(s2.data[2]));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(ste.data[3]),
			le64_to_cpu(s2.data[3]));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(ste.data[2]) & 0xffff, 0x77ULL);

	/* One descriptor: the other fields mean nothing and are not taken over */
	make_ste(ctx, &ste, make_pasid_cfg(BASE_PTR, 0,
					   IOMMU_PASID_SMMUV3_S1FMT_4K_L2,
					   IOMMU_PASID_SMMUV3_S1DSS_BYPASS),
		 false);
	w0 = le64_to_cpu(ste.data[0]);
	w1 = le64_to_cpu(ste.data[1]);
	KUNIT_EXPECT_EQ(test, w0, 1ULL | 7ULL << 1 | BASE_PTR);
	KUNIT_EXPECT_EQ(test, w1 & (STRTAB_STE_1_S1DSS | STRTAB_STE_1_EATS), 2ULL);

	/* Without stalls in hardware, S1STALLD would be illegal */
	ctx->smmu.features &= ~ARM_SMMU_FEAT_STALLS;
	make_ste(ctx, &ste, make_cfg(IOMMU_PASID_CONFIG_TRANSLATE, BASE_PTR),
		 false);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(ste.data[1]) & STRTAB_STE_1_S1STALLD,
			0ULL);

	/* S2FWB changes what the tables mean: one never goes without the other */
	ctx->pgtable.cfg.quirks = 0;
	make_ste(ctx, &ste, make_cfg(IOMMU_PASID_CONFIG_TRANSLATE, BASE_PTR),
		 false);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(ste.data[1]) & STRTAB_STE_1_S2FWB,
			0ULL);
	ctx->pgtable.cfg.quirks = IO_PGTABLE_QUIRK_ARM_S2FWB;

	make_ste(ctx, &ste, make_cfg(IOMMU_PASID_CONFIG_BYPASS, 0), false);
	KUNIT_EXPECT_MEMEQ(test, ste.data, s2.data, sizeof(ste));
	make_ste(ctx, &ste, make_cfg(IOMMU_PASID_CONFIG_ABORT, 0), true);
	arm_smmu_make_abort_ste(&s2);
	KUNIT_EXPECT_MEMEQ(test, ste.data, s2.data, sizeof(ste));
}

/* All transitions between the five kinds of entry, both directions */
static void test_ste_transitions(struct kunit *test)
{
	/*
	 * Number of updates by [from][to]. Stage 1 of the host is tagged with
	 * VMID 0: to and from any stage 2, two words change, Config and the
	 * VMID, and no store can change both.
	 */
	enum { BYPASS, ABORT, S1, S2, NESTED, NR };
	static const u8 syncs[NR][NR] = {
		[BYPASS]  = { 0, 2, 3, 2, 2 },
		[ABORT]	  = { 2, 0, 2, 2, 2 },
		[S1]	  = { 3, 2, 0, 3, 3 },
		[S2]	  = { 2, 2, 3, 0, 2 },
		[NESTED]  = { 2, 2, 3, 2, 0 },
	};
	static const bool breaks[NR][NR] = {
		[S1][S2] = true,
		[S1][NESTED] = true,
		[S2][S1] = true,
		[NESTED][S1] = true,
	};
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_ste ste[NR];
	int from, to;

	arm_smmu_make_bypass_ste(&ctx->smmu, &ste[BYPASS]);
	arm_smmu_make_abort_ste(&ste[ABORT]);
	ctx->master.cd_table.cdtab_dma = 0xF0F0F0F0F0C0;
	ctx->master.cd_table.s1cdmax = 4;
	arm_smmu_make_cdtable_ste(&ste[S1], &ctx->master, true,
				  STRTAB_STE_1_S1DSS_SSID0);
	arm_smmu_make_s2_domain_ste(&ste[S2], &ctx->master, &ctx->stage2, true);
	make_ste(ctx, &ste[NESTED],
		 make_pasid_cfg(BASE_PTR, 4, IOMMU_PASID_SMMUV3_S1FMT_LINEAR,
				IOMMU_PASID_SMMUV3_S1DSS_SSID0), true);

	for (from = 0; from < NR; from++)
		for (to = 0; to < NR; to++)
			expect_transition(test, &ste[from], &ste[to],
					  syncs[from][to], !breaks[from][to]);
}

/* Replacing one table by another */
static void test_ste_replace(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_ste a, b;

	/* Another address, another size: one word */
	make_ste(ctx, &a, make_pasid_cfg(BASE_PTR, 4, 0, 0), false);
	make_ste(ctx, &b, make_pasid_cfg(OTHER_PTR, 5, 2, 0), false);
	expect_transition(test, &a, &b, 1, true);

	/* Another treatment of requests without PASID: one word */
	make_ste(ctx, &b, make_pasid_cfg(BASE_PTR, 4, 0, 2), false);
	expect_transition(test, &a, &b, 1, true);

	/* Both at once cannot be told to the hardware in one store */
	make_ste(ctx, &b, make_pasid_cfg(OTHER_PTR, 4, 0, 2), false);
	expect_transition(test, &a, &b, 3, false);

	/* ATS on or off: one word, and so hitless on the way to stage 2 */
	make_ste(ctx, &b, make_pasid_cfg(BASE_PTR, 4, 0, 0), true);
	expect_transition(test, &a, &b, 1, true);
	expect_transition(test, &b, &a, 1, true);
}

static void test_check_config(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct iommu_pasid_table_config cfg;

	cfg = make_cfg(IOMMU_PASID_CONFIG_BYPASS, ~0ULL);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);
	/* 2^20 descriptors are 64 MiB */
	cfg = make_pasid_cfg(OTHER_PTR | SZ_32M, 20,
			     IOMMU_PASID_SMMUV3_S1FMT_LINEAR, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg.base_ptr = OTHER_PTR | SZ_64M;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);
	ctx->master.ssid_bits = 19;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);

	cfg = make_cfg(IOMMU_PASID_CONFIG_TRANSLATE, BIT_ULL(52));
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg.base_ptr = BIT_ULL(48);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg.base_ptr = BIT_ULL(47) + 32;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg.base_ptr = BIT_ULL(47) + 64;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);

	/* 16 bits: 64 entries of 8 bytes in the first level, or 1024 */
	cfg = make_pasid_cfg(BASE_PTR | SZ_512, 16,
			     IOMMU_PASID_SMMUV3_S1FMT_64K_L2, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);
	cfg.base_ptr = BASE_PTR | SZ_256;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg = make_pasid_cfg(OTHER_PTR | SZ_8K, 16,
			     IOMMU_PASID_SMMUV3_S1FMT_4K_L2, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);
	cfg.base_ptr = OTHER_PTR | SZ_4K;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	/* A first level of one entry */
	cfg = make_pasid_cfg(BASE_PTR | 64, 6, IOMMU_PASID_SMMUV3_S1FMT_4K_L2, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg), 0);
	ctx->smmu.features &= ~ARM_SMMU_FEAT_2_LVL_CDTAB;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
	cfg.vendor.smmuv3.s1fmt = 3;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_check_config(&ctx->master, &cfg),
			-EINVAL);
}

static struct arm_smmu_cmdq *other_cmdq(struct arm_smmu_device *smmu,
					struct arm_smmu_cmdq_ent *ent)
{
	return NULL;
}

static void test_supported(struct kunit *test)
{
	static const struct arm_smmu_impl_ops impl_ops = {
		.get_secondary_cmdq = other_cmdq,
	};
	static const u32 needed[] = {
		ARM_SMMU_FEAT_NESTING, ARM_SMMU_FEAT_TRANS_S1,
		ARM_SMMU_FEAT_TRANS_S2, ARM_SMMU_FEAT_COHERENCY,
		ARM_SMMU_FEAT_S2FWB,
	};
	struct test_ctx *ctx = test->priv;
	int i;

	KUNIT_EXPECT_TRUE(test, arm_smmu_uapi_supported(&ctx->master, false));
	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		ctx->smmu.features &= ~needed[i];
		KUNIT_EXPECT_FALSE(test,
				   arm_smmu_uapi_supported(&ctx->master, false));
		ctx->smmu.features |= needed[i];
	}
	ctx->smmu.features &= ~ARM_SMMU_FEAT_S2FWB;
	KUNIT_EXPECT_TRUE(test, arm_smmu_uapi_supported(&ctx->master, true));
	ctx->smmu.features |= ARM_SMMU_FEAT_S2FWB | ARM_SMMU_FEAT_STALL_FORCE;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_supported(&ctx->master, false));
	ctx->smmu.features &= ~ARM_SMMU_FEAT_STALL_FORCE;
	ctx->smmu.impl_ops = &impl_ops;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_supported(&ctx->master, false));
	ctx->smmu.impl_ops = NULL;
	KUNIT_EXPECT_TRUE(test, arm_smmu_uapi_supported(&ctx->master, false));
	ctx->master.stall_enabled = true;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_supported(&ctx->master, false));
}

/* Nothing goes on top of a domain that is not a stage 2, whatever was asked for. */
static void test_can_nest_on(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_domain *stage2 = &ctx->stage2;
	struct arm_smmu_device *other;

	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	stage2->smmu = &ctx->smmu;
	stage2->nest_parent = true;
	KUNIT_EXPECT_TRUE(test, arm_smmu_uapi_can_nest_on(&ctx->master, stage2,
							  false));
	stage2->stage = ARM_SMMU_DOMAIN_S1;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_can_nest_on(&ctx->master, stage2,
							   false));
	stage2->stage = ARM_SMMU_DOMAIN_S2;
	stage2->nest_parent = false;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_can_nest_on(&ctx->master, stage2,
							   false));
	stage2->nest_parent = true;
	stage2->smmu = other;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_can_nest_on(&ctx->master, stage2,
							   false));
	stage2->smmu = &ctx->smmu;
	ctx->smmu.features &= ~ARM_SMMU_FEAT_S2FWB;
	KUNIT_EXPECT_FALSE(test, arm_smmu_uapi_can_nest_on(&ctx->master, stage2,
							   false));
}

static void test_registers(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct iommu_nesting_info a = {}, b = {};
	u32 hw[6], idr[6];

	memset(hw, 0xff, sizeof(hw));
	ctx->master.ssid_bits = 7;
	arm_smmu_uapi_mask_idr(&ctx->master, true, hw, idr);
	/* S1P, TTF 2, COHACC, ATS, ASID16, CD2L, TTENDIAN, no stalls, TERM */
	KUNIT_EXPECT_EQ(test, idr[0], BIT(1) | 2 << 2 | BIT(4) | BIT(10) |
				      BIT(12) | BIT(19) | 3 << 21 | 1 << 24 |
				      BIT(26));
	KUNIT_EXPECT_EQ(test, idr[1], 7U << 6);
	KUNIT_EXPECT_EQ(test, idr[2], 0U);
	KUNIT_EXPECT_EQ(test, idr[3], BIT(2) | BIT(9) | BIT(10) | 3 << 11);
	KUNIT_EXPECT_EQ(test, idr[4], 0U);
	KUNIT_EXPECT_EQ(test, idr[5], 7 | 7 << 4 | 3 << 10);

	ctx->smmu.features |= ARM_SMMU_FEAT_HA;
	arm_smmu_uapi_mask_idr(&ctx->master, false, hw, idr);
	KUNIT_EXPECT_EQ(test, idr[0] & (IDR0_ATS | IDR0_HTTU), 1U << 6);
	ctx->smmu.features |= ARM_SMMU_FEAT_HD;
	arm_smmu_uapi_mask_idr(&ctx->master, false, hw, idr);
	KUNIT_EXPECT_EQ(test, idr[0] & IDR0_HTTU, 2U << 6);

	/* Two devices of one SMMU, then of another */
	memcpy(a.vendor.smmuv3.idr, idr, sizeof(idr));
	a.vendor.smmuv3.flags = IOMMU_NESTING_INFO_SMMUV3_VALID;
	b = a;
	a.vendor.smmuv3.idr[0] |= IDR0_ATS;
	b.vendor.smmuv3.idr[1] = 3 << 6;
	arm_smmu_uapi_info_merge(&a, &b);
	KUNIT_EXPECT_MEMEQ(test, &a, &b, sizeof(a));
	b.vendor.smmuv3.idr[5] ^= IDR5_GRAN16K;
	arm_smmu_uapi_info_merge(&a, &b);
	KUNIT_EXPECT_EQ(test, a.vendor.smmuv3.flags, 0U);
	KUNIT_EXPECT_EQ(test, a.vendor.smmuv3.idr[5], 0U);
}

/*
 * Commands, as the hardware understands them: opcode, fields and range are taken
 * out of the encoded words by numbers from the architecture.
 */
#define MAX_CMDS	1024

struct recorder {
	struct kunit *test;
	unsigned int nr;
	u64 cmd[MAX_CMDS][2];
};

static void record(void *data, struct arm_smmu_cmdq_ent *cmd)
{
	struct recorder *rec = data;

	KUNIT_ASSERT_LT(rec->test, rec->nr, MAX_CMDS);
	KUNIT_EXPECT_EQ(rec->test, arm_smmu_cmdq_build_cmd(rec->cmd[rec->nr++],
							   cmd), 0);
}

static struct recorder *new_recorder(struct kunit *test)
{
	struct recorder *rec = kunit_kzalloc(test, sizeof(*rec), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rec);
	rec->test = test;
	return rec;
}

static struct arm_smmu_uapi_inv make_req(struct test_ctx *ctx)
{
	return (struct arm_smmu_uapi_inv) { .master = &ctx->master, .vmid = 0x77 };
}

static void test_cmd_encoding(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct recorder *rec = new_recorder(test);
	struct arm_smmu_uapi_inv req = make_req(ctx);

	arm_smmu_uapi_emit_tlb(&req, record, rec);
	req.has_asid = true;
	req.asid = 0xabcd;
	arm_smmu_uapi_emit_tlb(&req, record, rec);
	req.has_range = true;
	req.first = 0xffff123456789000ULL;
	req.last = req.first + SZ_4K - 1;
	req.leaf = true;
	arm_smmu_uapi_emit_tlb(&req, record, rec);
	req.has_asid = false;
	req.leaf = false;
	arm_smmu_uapi_emit_tlb(&req, record, rec);
	KUNIT_ASSERT_EQ(test, rec->nr, 4U);
	/* NH_ALL, NH_ASID, NH_VA, NH_VAA: VMID in 47:32, ASID in 63:48 */
	KUNIT_EXPECT_EQ(test, rec->cmd[0][0], 0x0000007700000010ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1], 0ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[1][0], 0xabcd007700000011ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[1][1], 0ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[2][0], 0xabcd007700000012ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[2][1], 0xffff123456789001ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[3][0], 0x0000007700000013ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[3][1], 0xffff123456789000ULL);

	/* Each of the device's streams; PASID in 31:12 */
	rec->nr = 0;
	req = make_req(ctx);
	arm_smmu_uapi_emit_cd(&req, record, rec);
	req.has_ssid = true;
	req.ssid = 0xfedcb;
	arm_smmu_uapi_emit_cd(&req, record, rec);
	KUNIT_ASSERT_EQ(test, rec->nr, 4U);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][0], 0x0000001100000006ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[1][0], 0x0000002200000006ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[2][0], 0x00000011fedcb005ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[3][0], 0x00000022fedcb005ULL);
	/* Not only the leaf: a first level may be cached as well */
	KUNIT_EXPECT_EQ(test, rec->cmd[2][1], 0ULL);
}

static void test_atc(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct recorder *rec = new_recorder(test);
	struct arm_smmu_uapi_inv req = make_req(ctx);

	/* No ATS, no ATC */
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->nr, 0U);

	ctx->master.ats_enabled = true;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_ASSERT_EQ(test, rec->nr, 2U);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][0], 0x0000001100000040ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1], 52ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[1][0], 0x0000002200000040ULL);

	rec->nr = 0;
	req.has_ssid = true;
	req.ssid = 5;
	req.has_range = true;
	req.first = 7 * SZ_4K;
	req.last = 11 * SZ_4K - 1;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	/* SSV, PASID; pages 7 to 10 are in an aligned 16 */
	KUNIT_EXPECT_EQ(test, rec->cmd[0][0], 0x0000001100005840ULL);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1], 4ULL);

	/* The last page there is, and all pages */
	rec->nr = 0;
	req.first = ~0ULL << 12;
	req.last = ~0ULL;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1], ~0ULL << 12);
	rec->nr = 0;
	req.first = 0;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1] & 0x3f, 52ULL);

	/* Without PASID: all PASIDs too */
	rec->nr = 0;
	req.ssid = IOMMU_NO_PASID;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][0], 0x0000001100000040ULL);

	/* Never less than the device's unit, which is the smallest page */
	rec->nr = 0;
	ctx->smmu.pgsize_bitmap = SZ_64K | SZ_512M;
	req.first = 17 * SZ_4K;
	req.last = 18 * SZ_4K - 1;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1], (u64)SZ_64K | 4);
	rec->nr = 0;
	req.first = SZ_4K;
	req.last = ~0ULL;
	arm_smmu_uapi_emit_atc(&req, record, rec);
	KUNIT_EXPECT_EQ(test, rec->cmd[0][1] & 0x3f, 52ULL);
}

/* Does a command hit a page of a table with granule 2^@tg? */
static bool cmd_hits(const u64 *cmd, unsigned int tg, u64 va)
{
	unsigned int op = cmd[0] & 0xff;
	unsigned int cmd_tg = (cmd[1] >> 10) & 3;
	unsigned int num = (cmd[0] >> 12) & 31, scale = (cmd[0] >> 20) & 31;
	u64 addr = cmd[1] & ~0xfffULL, pages;

	if (op == CMDQ_OP_TLBI_NH_ALL)
		return true;
	if (!cmd_tg)
		return va >> tg == addr >> tg;
	if (tg != 10 + 2 * cmd_tg)
		return false;
	pages = (u64)(num + 1) << scale;
	return (va >> tg) - (addr >> tg) < pages;
}

static bool is_covered(struct recorder *rec, unsigned int tg, u64 va)
{
	unsigned int i;

	for (i = 0; i < rec->nr; i++)
		if (cmd_hits(rec->cmd[i], tg, va))
			return true;
	return false;
}

/* Bounded in number, legal, and covering whatever the guest's granule is */
static void check_range(struct kunit *test, struct recorder *rec, u64 addr,
			u64 granule, u64 nr)
{
	struct test_ctx *ctx = test->priv;
	struct iommu_cache_invalidate_info inv = {
		.cache = IOMMU_CACHE_INV_TYPE_IOTLB,
		.granularity = IOMMU_INV_GRANU_ADDR,
		.granu.addr_info = {
			.flags = IOMMU_INV_ADDR_FLAGS_ARCHID,
			.archid = 3,
			.addr = addr,
			.granule_size = granule,
			.nb_granules = nr,
		},
	};
	struct arm_smmu_uapi_inv req = make_req(ctx);
	unsigned int tg, i;
	u64 size;

	KUNIT_ASSERT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), 0);
	rec->nr = 0;
	arm_smmu_uapi_emit_tlb(&req, record, rec);
	KUNIT_EXPECT_GT(test, rec->nr, 0U);
	if (ctx->smmu.features & ARM_SMMU_FEAT_RANGE_INV)
		KUNIT_EXPECT_LE(test, rec->nr, 3U * 8);
	else
		KUNIT_EXPECT_LE(test, rec->nr, 512U);

	for (i = 0; i < rec->nr; i++) {
		u64 *cmd = rec->cmd[i];

		/* Scope: our VMID, and no range of one page */
		KUNIT_EXPECT_EQ(test, (cmd[0] >> 32) & 0xffff, 0x77ULL);
		if ((cmd[1] >> 10) & 3)
			KUNIT_EXPECT_NE(test, cmd[0] & 0x1f1f000, 0ULL);
		else
			KUNIT_EXPECT_EQ(test, cmd[0] & 0x1f1f000, 0ULL);
	}

	size = granule * nr;
	for (tg = 12; tg <= 16; tg += 2) {
		if (!(ctx->smmu.pgsize_bitmap & BIT(tg)))
			continue;
		for (i = 0; i <= 64; i++) {
			u64 at = i == 64 ? size - 1 : size / 64 * i;

			KUNIT_EXPECT_TRUE(test, is_covered(rec, tg, addr + at));
		}
	}
}

static void check_ranges(struct kunit *test)
{
	static const u64 granules[] = {
		SZ_4K, SZ_8K, SZ_16K, SZ_64K, SZ_2M, SZ_32M, SZ_512M, SZ_1G,
		BIT_ULL(39), BIT_ULL(48), BIT_ULL(63),
	};
	static const u64 counts[] = {
		1, 2, 3, 31, 32, 33, 511, 512, 513, 0x12345, BIT_ULL(20) - 1,
		BIT_ULL(31), BIT_ULL(32) - 1, BIT_ULL(32), BIT_ULL(36) + 1,
		BIT_ULL(51) - 1, BIT_ULL(52) - 1,
	};
	struct recorder *rec = new_recorder(test);
	u64 size, end;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(granules); i++) {
		for (j = 0; j < ARRAY_SIZE(counts); j++) {
			if (check_mul_overflow(granules[i], counts[j], &size))
				continue;
			check_range(test, rec, 0, granules[i], counts[j]);
			if (!check_add_overflow(granules[i] * 5, size - 1, &end))
				check_range(test, rec, granules[i] * 5,
					    granules[i], counts[j]);
			/* Up to the last byte of the address space */
			check_range(test, rec, -size, granules[i], counts[j]);
		}
	}
}

static void test_range_normal(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	ctx->smmu.features |= ARM_SMMU_FEAT_RANGE_INV;
	check_ranges(test);
	ctx->smmu.pgsize_bitmap = SZ_16K | SZ_32M;
	check_ranges(test);
	ctx->smmu.pgsize_bitmap = SZ_64K | SZ_512M;
	check_ranges(test);
}

static void test_range_without_ril(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	check_ranges(test);
	ctx->smmu.pgsize_bitmap = SZ_64K | SZ_512M;
	check_ranges(test);
}

static void test_decode_inv(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_uapi_inv req = make_req(ctx);
	struct iommu_cache_invalidate_info inv = {
		.granularity = IOMMU_INV_GRANU_PASID,
		.granu.pasid_info = {
			.flags = IOMMU_INV_PASID_FLAGS_PASID |
				 IOMMU_INV_PASID_FLAGS_ARCHID,
			.archid = 0xffff,
			.pasid = 0xfffff,
		},
	};

	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), 0);
	KUNIT_EXPECT_TRUE(test, req.has_asid && req.has_ssid && !req.has_range);
	KUNIT_EXPECT_EQ(test, req.asid, 0xffff);
	KUNIT_EXPECT_EQ(test, req.ssid, 0xfffffU);

	/* What the hardware does not have is refused, not cut */
	ctx->smmu.asid_bits = 8;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), -EINVAL);
	inv.granu.pasid_info.archid = 0xff;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), 0);
	ctx->master.ssid_bits = 19;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), -EINVAL);
	inv.granu.pasid_info.pasid = BIT_ULL(40);
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), -EINVAL);

	/* Unused fields may hold anything */
	inv.granu.pasid_info.flags = IOMMU_INV_PASID_FLAGS_NO_PASID;
	inv.granu.pasid_info.archid = ~0U;
	KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_inv(&req, &inv), 0);
	KUNIT_EXPECT_FALSE(test, req.has_asid);
	KUNIT_EXPECT_TRUE(test, req.has_ssid);
	KUNIT_EXPECT_EQ(test, req.ssid, 0U);
}

static void test_events(struct kunit *test)
{
	static const struct {
		u8 id, class;
		bool s2, guests;
		u32 reason;
	} cases[] = {
		{ 0x01, 2, false, false },
		{ 0x02, 0, false, false },
		{ 0x03, 0, false, false },
		{ 0x04, 0, false, false },
		{ 0x06, 0, false, true, IOMMU_FAULT_REASON_PASID_INVALID },
		{ 0x07, 0, false, false },
		{ 0x08, 0, false, true, IOMMU_FAULT_REASON_PASID_INVALID },
		{ 0x09, 0, false, true, IOMMU_FAULT_REASON_PASID_FETCH },
		{ 0x0a, 0, false, true, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		{ 0x0b, 1, false, true, IOMMU_FAULT_REASON_WALK_EABT },
		{ 0x0b, 1, true, false },
		{ 0x10, 2, false, true, IOMMU_FAULT_REASON_PTE_FETCH },
		{ 0x10, 2, true, false },
		{ 0x10, 0, true, true, IOMMU_FAULT_REASON_PASID_FETCH },
		{ 0x10, 1, true, true, IOMMU_FAULT_REASON_WALK_EABT },
		{ 0x10, 3, false, false },
		{ 0x11, 2, false, true, IOMMU_FAULT_REASON_OOR_ADDRESS },
		{ 0x11, 2, true, false },
		{ 0x12, 2, false, true, IOMMU_FAULT_REASON_ACCESS },
		{ 0x13, 2, false, true, IOMMU_FAULT_REASON_PERMISSION },
		{ 0x13, 2, true, false },
		{ 0x13, 0, true, true, IOMMU_FAULT_REASON_PASID_FETCH },
		{ 0x20, 2, false, false },
		{ 0x24, 0, false, false },
	};
	struct iommu_fault_unrecoverable event;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* SID, SSV, SSID; RnW, InD, PnU; address; IPA */
		u64 evt[4] = {
			0x77ULL << 32 | 0xfedcb000 | BIT(11) | cases[i].id,
			BIT_ULL(33) | BIT_ULL(34) | BIT_ULL(35) |
			(u64)cases[i].s2 << 39 | (u64)cases[i].class << 40,
			0xffff123456789abcULL,
			0x0000765432109000ULL,
		};
		bool has_input = cases[i].id >= 0x0b;
		bool has_fetch = cases[i].s2;

		KUNIT_EXPECT_EQ(test, arm_smmu_uapi_decode_evt(evt, &event),
				cases[i].guests);
		if (!cases[i].guests)
			continue;
		KUNIT_EXPECT_EQ(test, event.reason, cases[i].reason);
		KUNIT_EXPECT_EQ(test, event.pasid, 0xfedcbU);
		KUNIT_EXPECT_EQ(test, event.flags,
				IOMMU_FAULT_UNRECOV_PASID_VALID |
				(has_input ? IOMMU_FAULT_UNRECOV_ADDR_VALID : 0) |
				(has_fetch ? IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID :
				 0));
		KUNIT_EXPECT_EQ(test, event.addr, has_input ? evt[2] : 0);
		/* Never a physical address */
		KUNIT_EXPECT_EQ(test, event.fetch_addr, has_fetch ? evt[3] : 0);
		KUNIT_EXPECT_EQ(test, event.perm, has_input ?
				IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_EXEC |
				IOMMU_FAULT_PERM_PRIV : 0);
		/* A write without PASID */
		evt[0] &= ~BIT_ULL(11);
		evt[1] &= ~(BIT_ULL(33) | BIT_ULL(34) | BIT_ULL(35));
		KUNIT_EXPECT_TRUE(test, arm_smmu_uapi_decode_evt(evt, &event));
		KUNIT_EXPECT_EQ(test, event.pasid, 0U);
		KUNIT_EXPECT_EQ(test, event.perm,
				has_input ? IOMMU_FAULT_PERM_WRITE : 0);
	}
}

/* The queue stands still, and goes on after so many of the waits for it. */
static void go_on(struct work_struct *work)
{
	struct test_ctx *ctx = container_of(work, struct test_ctx, go_on.work);

	WRITE_ONCE(ctx->smmu.cmdq.q.cons_reg, ctx->smmu.cmdq.q.prod_reg);
}

static void stop_queue(struct test_ctx *ctx, unsigned int half_waits)
{
	ctx->queue.cons = ctx->queue.prod;
	ctx->smmu.cmdq.q.cons_reg = (u32 __force __iomem *)&ctx->queue.cons;
	INIT_DELAYED_WORK(&ctx->go_on, go_on);
	/* This CPU has interrupts off most of the time. */
	queue_delayed_work(system_unbound_wq, &ctx->go_on,
			   usecs_to_jiffies(half_waits *
					    (ARM_SMMU_POLL_TIMEOUT_US / 2)));
}

/* What a device has cached by an old entry is no use by the new one. */
static void ste_changes(struct test_ctx *ctx, u32 sid)
{
	if (ctx->resets)
		ctx->ats_ctrl |= PCI_ATS_CTRL_ENABLE;
	else if (ctx->ats_ctrl & PCI_ATS_CTRL_ENABLE &&
		 ctx->strtab[sid].data[1] & cpu_to_le64(STRTAB_STE_1_EATS))
		ctx->ats_disorder++;
}

/*
 * From request to completion: what the caller is told when the hardware takes the
 * commands, when it stops taking them, and when it has an error to report.
 *
 * A device that does not answer an ATC invalidation stops the queue with an error,
 * and the handler of that interrupt has it go on. Here that comes when the command
 * is put into the queue rather than while its completion is waited for: all that
 * the one who waits can see of it is the count.
 */
static bool fake_queue_takes(struct arm_smmu_cmdq_ent *cmd)
{
	struct test_ctx *ctx = kunit_get_current_test()->priv;
	struct fake_queue *queue = &ctx->queue;
	u32 prod = queue->prod;

	if (cmd->opcode == CMDQ_OP_ATC_INV &&
	    !mutex_is_locked(&ctx->master.guest_atc_lock))
		queue->atc_unlocked++;
	if (cmd->opcode == CMDQ_OP_CFGI_STE)
		ste_changes(ctx, cmd->cfgi.sid);
	if (queue->stops_for && cmd->opcode == queue->stops_at) {
		stop_queue(ctx, queue->stops_for);
		queue->stops_for = 0;
	}
	if (cmd->opcode == CMDQ_OP_ATC_INV && queue->atc_silent) {
		queue->atc_silent--;
		queue->prod |= FIELD_PREP(CMDQ_CONS_ERR,
					  CMDQ_ERR_CERROR_ATC_INV_IDX);
		__arm_smmu_cmdq_skip_err(&ctx->smmu, &ctx->smmu.cmdq);
		queue->prod = prod;
	}
	return true;
}

/*
 * An empty queue. One that @consumes has done with each command at once: both
 * indices are one register then.
 */
static void fake_queue_init(struct test_ctx *ctx, bool consumes)
{
	struct arm_smmu_cmdq *cmdq = &ctx->smmu.cmdq;
	struct fake_queue *queue = &ctx->queue;

	memset(queue, 0, sizeof(*queue));
	memset(cmdq, 0, sizeof(*cmdq));
	init_rwsem(&ctx->smmu.atc_lock);
	cmdq->q.llq.max_n_shift = QUEUE_SHIFT;
	cmdq->q.base = queue->cmds[0];
	cmdq->q.ent_dwords = CMDQ_ENT_DWORDS;
	cmdq->q.prod_reg = (u32 __force __iomem *)&queue->prod;
	cmdq->q.cons_reg = (u32 __force __iomem *)(consumes ? &queue->prod :
							      &queue->cons);
	cmdq->valid_map = queue->valid_map;
	cmdq->supports_cmd = fake_queue_takes;

	/* What the messages name; the test's guest knows it by that, too. */
	ctx->dev.init_name = "kunit-smmu";
	ctx->dev.iommu = &ctx->iommu;
	ctx->iommu.priv = &ctx->master;
	ctx->smmu.dev = &ctx->dev;
	ctx->master.dev = &ctx->dev;
	ctx->master.ats_enabled = true;
	ctx->bond.dev = &ctx->dev;
	ctx->bond.stage2 = &ctx->stage2.domain;
}

static int invalidate(struct test_ctx *ctx, u8 cache)
{
	struct iommu_cache_invalidate_info inv = {
		.cache = cache,
		.granularity = IOMMU_INV_GRANU_DOMAIN,
	};

	return arm_smmu_uapi_invalidate(&ctx->bond, &inv);
}

static int invalidate_pages(struct test_ctx *ctx, u64 nr)
{
	struct iommu_cache_invalidate_info inv = {
		.cache = IOMMU_CACHE_INV_TYPE_IOTLB,
		.granularity = IOMMU_INV_GRANU_ADDR,
		.granu.addr_info = {
			.addr = SZ_1G,
			.granule_size = SZ_4K,
			.nb_granules = nr,
		},
	};

	return arm_smmu_uapi_invalidate(&ctx->bond, &inv);
}

static void expect_queue(struct kunit *test, const u8 *opcodes, u32 nr)
{
	struct test_ctx *ctx = test->priv;
	struct fake_queue *queue = &ctx->queue;
	u32 i;

	KUNIT_ASSERT_EQ(test, queue->prod, nr);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, le64_to_cpu(queue->cmds[i][0]) &
				      CMDQ_0_OP, (u64)opcodes[i]);
}

#define ALL_CACHES	(IOMMU_CACHE_INV_TYPE_PASID |		\
			 IOMMU_CACHE_INV_TYPE_IOTLB |		\
			 IOMMU_CACHE_INV_TYPE_DEV_IOTLB)

/* What each cache takes, for a device with two streams */
static const struct {
	u8 cache;
	u8 opcodes[3];
	u32 nr;
} cache_cmds[] = {
	{ IOMMU_CACHE_INV_TYPE_PASID,
	  { CMDQ_OP_CFGI_CD_ALL, CMDQ_OP_CFGI_CD_ALL, CMDQ_OP_CMD_SYNC }, 3 },
	{ IOMMU_CACHE_INV_TYPE_IOTLB,
	  { CMDQ_OP_TLBI_NH_ALL, CMDQ_OP_CMD_SYNC }, 2 },
	{ IOMMU_CACHE_INV_TYPE_DEV_IOTLB,
	  { CMDQ_OP_ATC_INV, CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC }, 3 },
};

static void test_inv_done(struct kunit *test)
{
	static const u8 all[] = {
		CMDQ_OP_CFGI_CD_ALL, CMDQ_OP_CFGI_CD_ALL, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_TLBI_NH_ALL, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_ATC_INV, CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC,
	};
	struct test_ctx *ctx = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(cache_cmds); i++) {
		fake_queue_init(ctx, true);
		KUNIT_EXPECT_EQ(test, invalidate(ctx, cache_cmds[i].cache), 0);
		expect_queue(test, cache_cmds[i].opcodes, cache_cmds[i].nr);
	}

	fake_queue_init(ctx, true);
	KUNIT_EXPECT_EQ(test, invalidate(ctx, ALL_CACHES), 0);
	expect_queue(test, all, ARRAY_SIZE(all));
	KUNIT_EXPECT_EQ(test, ctx->queue.atc_unlocked, 0U);

	/* More than a batch holds, and more than once around the queue */
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, invalidate_pages(ctx, 100), 0);
}

/* The queue stands still: nothing is taken for done. */
static void expect_timeout(struct kunit *test, int ret, ktime_t begin)
{
	KUNIT_EXPECT_EQ(test, ret, -ETIMEDOUT);
	KUNIT_EXPECT_GE(test, ktime_us_delta(ktime_get(), begin),
			ARM_SMMU_POLL_TIMEOUT_US);
}

static void test_inv_timeout(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	ktime_t begin;
	int i;

	for (i = 0; i < ARRAY_SIZE(cache_cmds); i++) {
		fake_queue_init(ctx, false);
		begin = ktime_get();
		expect_timeout(test, invalidate(ctx, cache_cmds[i].cache),
			       begin);
		expect_queue(test, cache_cmds[i].opcodes, cache_cmds[i].nr);
	}

	/* What is filled from a cache that may be stale has to wait. */
	fake_queue_init(ctx, false);
	begin = ktime_get();
	expect_timeout(test, invalidate(ctx, ALL_CACHES), begin);
	expect_queue(test, cache_cmds[0].opcodes, cache_cmds[0].nr);

	/* The time-out is that of the last of several lists of commands. */
	fake_queue_init(ctx, false);
	begin = ktime_get();
	expect_timeout(test, invalidate_pages(ctx, 100), begin);
	KUNIT_EXPECT_EQ(test, ctx->queue.prod, 101U);

	/* Where completion is a write to the queue that does not come */
	fake_queue_init(ctx, false);
	ctx->smmu.options |= ARM_SMMU_OPT_MSIPOLL;
	begin = ktime_get();
	expect_timeout(test, invalidate(ctx, IOMMU_CACHE_INV_TYPE_IOTLB),
		       begin);
	ctx->smmu.options &= ~ARM_SMMU_OPT_MSIPOLL;
	/* Its place in the queue is not free for others. */
	KUNIT_EXPECT_EQ(test, ctx->smmu.cmdq.q.llq.cons, 0U);
}

/* The queue goes on after the error, and completes all there is. */
static void test_inv_atc_timeout(struct kunit *test)
{
	static const u8 opcodes[] = {
		CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC,
	};
	struct test_ctx *ctx = test->priv;

	ctx->master.num_streams = 1;

	/* It does not answer twice: it is this device. */
	fake_queue_init(ctx, true);
	ctx->queue.atc_silent = 2;
	KUNIT_EXPECT_EQ(test, invalidate(ctx, IOMMU_CACHE_INV_TYPE_DEV_IOTLB),
			-EIO);
	expect_queue(test, opcodes, 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->smmu.atc_timeouts), 2);

	/* Only what comes later counts. */
	fake_queue_init(ctx, true);
	KUNIT_EXPECT_EQ(test, invalidate(ctx, IOMMU_CACHE_INV_TYPE_DEV_IOTLB),
			0);
	expect_queue(test, opcodes, 2);

	/* It answers when it is asked alone: it was another device. */
	fake_queue_init(ctx, true);
	ctx->queue.atc_silent = 1;
	KUNIT_EXPECT_EQ(test, invalidate(ctx, IOMMU_CACHE_INV_TYPE_DEV_IOTLB),
			0);
	expect_queue(test, opcodes, 4);
}

/*
 * Bind and unbind, of a PCI device with ATS
 */
#define ATS_CAP		0x100

static int fake_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct test_ctx *ctx = container_of(bus, struct test_ctx, bus);

	*val = where == ATS_CAP + PCI_ATS_CTRL ? ctx->ats_ctrl : 0;
	return PCIBIOS_SUCCESSFUL;
}

/*
 * The device never has ATS on while the SMMU takes it for an error, and is asked
 * nothing while ATS is switched.
 */
static int fake_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct test_ctx *ctx = container_of(bus, struct test_ctx, bus);
	int i;

	if (where != ATS_CAP + PCI_ATS_CTRL)
		return PCIBIOS_SUCCESSFUL;

	for (i = 0; i < ctx->master.num_streams; i++)
		if ((val & PCI_ATS_CTRL_ENABLE || ctx->pdev->ats_enabled) &&
		    !(ctx->strtab[ctx->streams[i].id].data[1] &
		      cpu_to_le64(STRTAB_STE_1_EATS)))
			ctx->ats_disorder++;
	if (down_read_trylock(&ctx->smmu.atc_lock)) {
		up_read(&ctx->smmu.atc_lock);
		ctx->ats_disorder++;
	}
	ctx->nr_ats_on += !(ctx->ats_ctrl & PCI_ATS_CTRL_ENABLE) &&
			  val & PCI_ATS_CTRL_ENABLE;
	ctx->ats_ctrl = val;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
};

/* A device that is attached to stage 2, with ATS on if it has it */
static void attach(struct kunit *test, bool consumes, bool ats)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_device *smmu = &ctx->smmu;
	int i;

	fake_queue_init(ctx, consumes);
	ctx->master.ats_enabled = ats;
	ctx->iommu.fwspec = &ctx->fwspec;
	if (ats) {
		ctx->pdev = kunit_kzalloc(test, sizeof(*ctx->pdev), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, ctx->pdev);
		ctx->bus.ops = &fake_ops;
		ctx->pdev->bus = &ctx->bus;
		ctx->pdev->ats_cap = ATS_CAP;
		ctx->pdev->ats_enabled = 1;
		ctx->pdev->dev.init_name = ctx->dev.init_name;
		ctx->pdev->dev.bus = &pci_bus_type;
		ctx->pdev->dev.iommu = &ctx->iommu;
		ctx->ats_ctrl = PCI_ATS_CTRL_ENABLE;
		ctx->fwspec.flags = IOMMU_FWSPEC_PCI_RC_ATS;
		ctx->master.dev = &ctx->pdev->dev;
		ctx->bond.dev = &ctx->pdev->dev;
		atomic_set(&ctx->stage2.nr_ats_masters, 1);
	}

	mutex_init(&smmu->streams_mutex);
	smmu->streams = RB_ROOT;
	smmu->ats_stopped = false;
	ctx->master.ats_dead = false;
	ctx->master.atc_failures = 0;
	smmu->strtab_cfg.linear.table = ctx->strtab;
	smmu->strtab_cfg.linear.num_ents = ARRAY_SIZE(ctx->strtab);
	smmu->evtq.q.prod_reg = (u32 __force __iomem *)&ctx->evtq_prod;
	ctx->stage2.smmu = smmu;
	ctx->stage2.nest_parent = true;
	spin_lock_init(&ctx->stage2.devices_lock);
	INIT_LIST_HEAD(&ctx->stage2.devices);
	ctx->master_domain.master = &ctx->master;
	list_add(&ctx->master_domain.devices_elm, &ctx->stage2.devices);
	for (i = 0; i < ctx->master.num_streams; i++)
		arm_smmu_make_s2_domain_ste(&ctx->strtab[ctx->streams[i].id],
					    &ctx->master, &ctx->stage2, ats);
}

static int bind(struct test_ctx *ctx, u8 config, u32 flags)
{
	struct iommu_pasid_table_config cfg = make_cfg(config, BASE_PTR);

	cfg.flags = flags;
	return arm_smmu_uapi_ops.bind_pasid_table(&ctx->bond, &cfg);
}

static void unbind(struct test_ctx *ctx)
{
	arm_smmu_uapi_ops.unbind(&ctx->bond);
}

/* The stream table has @config, and everybody agrees on whether ATS is on. */
static void expect_bound(struct kunit *test, u8 config, bool ats)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_ste ste;
	int i;

	make_ste(ctx, &ste, make_cfg(config, BASE_PTR), ats);
	for (i = 0; i < ctx->master.num_streams; i++)
		KUNIT_EXPECT_MEMEQ(test, ctx->strtab[ctx->streams[i].id].data,
				   ste.data, sizeof(ste));
	KUNIT_EXPECT_EQ(test, ctx->master_domain.nested,
			config == IOMMU_PASID_CONFIG_TRANSLATE);
	KUNIT_EXPECT_EQ(test, (bool)ctx->master.ats_enabled, ats);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->stage2.nr_ats_masters), ats);
	KUNIT_EXPECT_EQ(test, ctx->ats_disorder, 0U);
	if (!ctx->pdev)
		return;
	KUNIT_EXPECT_EQ(test, (bool)ctx->pdev->ats_enabled, ats);
	KUNIT_EXPECT_EQ(test, !!(ctx->ats_ctrl & PCI_ATS_CTRL_ENABLE), ats);
}

/* Without a binding: stage 2 alone */
static void expect_unbound(struct kunit *test, bool ats)
{
	struct test_ctx *ctx = test->priv;

	expect_bound(test, IOMMU_PASID_CONFIG_BYPASS, ats);
	KUNIT_EXPECT_NULL(test, ctx->master.bond);
	KUNIT_EXPECT_NULL(test, ctx->bond.priv);
}

/* Number of commands from the index @from on in the queue, all of them done */
static unsigned int count_cmds(struct test_ctx *ctx, u32 from, u8 opcode)
{
	unsigned int nr = 0;

	for (; from != ctx->queue.prod; from++)
		nr += (le64_to_cpu(ctx->queue.cmds[from % QUEUE_SIZE][0]) &
		       CMDQ_0_OP) == opcode;
	return nr;
}

static void test_bind_ats(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	/* Without the guest's promise to invalidate there is no device TLB. */
	attach(test, true, true);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, false);
	KUNIT_EXPECT_PTR_EQ(test, ctx->master.bond, &ctx->bond);
	unbind(ctx);
	expect_unbound(test, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 1U);

	/* It is emptied whenever what it was filled from has changed. */
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 2U);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 3U);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_BYPASS, 0), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_BYPASS, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 4U);

	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_ABORT, 0), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_ABORT, false);
	unbind(ctx);
	expect_unbound(test, true);

	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	unbind(ctx);
	expect_unbound(test, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 7U);

	/* So it is if a reset brings back ATS, which has seen it on before. */
	ctx->resets = true;
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 8U);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, false);
	ctx->resets = false;
	/* And if it comes only now */
	ctx->ats_ctrl |= PCI_ATS_CTRL_ENABLE;
	unbind(ctx);
	expect_unbound(test, true);
	KUNIT_EXPECT_EQ(test, ctx->nr_ats_on, 9U);

	/* Without asking the device, which may not answer */
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, 0, CMDQ_OP_ATC_INV), 0U);
}

/* ATS is switched on its own, and so no transaction meets an invalid entry. */
static void test_step(struct kunit *test)
{
	static const u8 configs[] = {
		IOMMU_PASID_CONFIG_TRANSLATE, IOMMU_PASID_CONFIG_BYPASS,
		IOMMU_PASID_CONFIG_ABORT,
	};
	struct test_ctx *ctx = test->priv;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		for (j = 0; j < ARRAY_SIZE(configs); j++) {
			struct arm_smmu_uapi_state from = { .ats = true }, to = {};
			unsigned int syncs = i == j ? 0 : 2;
			struct arm_smmu_ste step;
			bool differs;

			/* There is no ATS on the way to nothing. */
			if (configs[i] == IOMMU_PASID_CONFIG_ABORT)
				continue;
			make_ste(ctx, &from.ste, make_cfg(configs[i], BASE_PTR),
				 true);
			make_ste(ctx, &to.ste, make_cfg(configs[j], BASE_PTR),
				 false);

			differs = arm_smmu_uapi_make_step(&step, &from, &to);
			KUNIT_EXPECT_TRUE(test, differs);
			expect_transition(test, &from.ste, &step, 1, true);
			expect_transition(test, &step, &to.ste, syncs, true);
			/* And back */
			differs = arm_smmu_uapi_make_step(&step, &to, &from);
			KUNIT_EXPECT_TRUE(test, differs);
			expect_transition(test, &to.ste, &step, syncs, true);
			expect_transition(test, &step, &from.ste, 1, true);
		}
	}
}

/* What the device TLB is told when memory is taken from stage 2 */
static void test_unmap_atc(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	__le64 *cmd;

	attach(test, true, true);
	cmd = ctx->queue.cmds[0];
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, 0, CMDQ_OP_ATC_INV), 2U);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmd[1]), (u64)SZ_1M);

	/* Which of the guest's addresses lead there is not known. */
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	cmd = ctx->queue.cmds[ctx->queue.prod % QUEUE_SIZE];
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmd[0]) & CMDQ_0_OP,
			(u64)CMDQ_OP_ATC_INV);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmd[1]), (u64)ATC_INV_SIZE_ALL);
	unbind(ctx);
}

/* The guest asks, and the device is @silent or not. */
static void invalidate_atc(struct kunit *test, bool silent)
{
	struct test_ctx *ctx = test->priv;

	ctx->queue.atc_silent = silent ? UINT_MAX : 0;
	KUNIT_EXPECT_EQ(test, invalidate(ctx, IOMMU_CACHE_INV_TYPE_DEV_IOTLB),
			silent ? -EIO : 0);
}

/* A device that does not answer has no device TLB any more. */
static void test_silent_device(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	u32 from;

	/* Who unmaps cannot be told, and gives the page to somebody else. */
	attach(test, true, true);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	ctx->queue.atc_silent = UINT_MAX;
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, false);
	from = ctx->queue.prod;
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, from, CMDQ_OP_ATC_INV), 0U);
	/* The SMMU has seen that before somebody relies on it. */
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, from, CMDQ_OP_CMD_SYNC), 1U);
	unbind(ctx);
	expect_unbound(test, false);

	/* The same without a guest's table */
	attach(test, true, true);
	ctx->queue.atc_silent = UINT_MAX;
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	expect_unbound(test, false);

	/* The guest is told, a few times, be there others in between. */
	attach(test, true, true);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	invalidate_atc(test, true);
	invalidate_atc(test, true);
	/* Those were long ago. */
	ctx->master.atc_failing_since -= ATC_FORGIVE + HZ;
	invalidate_atc(test, true);
	invalidate_atc(test, false);
	invalidate_atc(test, true);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, true);
	invalidate_atc(test, false);
	invalidate_atc(test, true);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, false);
	from = ctx->queue.prod;
	invalidate_atc(test, false);
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, from, CMDQ_OP_CFGI_STE), 2U);
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, from, CMDQ_OP_ATC_INV), 0U);
	unbind(ctx);
	expect_unbound(test, false);
}

/* It was another device that has not answered. */
static void test_others_silence(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	attach(test, true, true);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	ctx->queue.atc_silent = 1;
	arm_smmu_uapi_inv_atc_stage2(&ctx->stage2, SZ_1M, SZ_4K);
	KUNIT_EXPECT_EQ(test, ctx->queue.atc_silent, 0U);
	expect_bound(test, IOMMU_PASID_CONFIG_TRANSLATE, true);
	unbind(ctx);
}

/* A bind that the hardware has not confirmed in time has not happened. */
static void test_bind_timeout(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	ctx->master.num_streams = 1;
	attach(test, true, false);
	/* Two updates of the entry, and one that somebody looks at */
	stop_queue(ctx, 9);
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0),
			-ETIMEDOUT);
	cancel_delayed_work_sync(&ctx->go_on);
	expect_unbound(test, false);
	/* Its events may be in the queue for the next one. */
	KUNIT_EXPECT_TRUE(test, ctx->master.evt_left);
}

/* An unbind that the hardware has not confirmed is not over, and has no ATS. */
static void test_unbind_timeout(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	ktime_t begin;

	ctx->master.num_streams = 1;
	attach(test, true, true);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE,
				   IOMMU_PASID_TABLE_DEVTLB), 0);
	begin = ktime_get();
	/* Longer than all that is tried before */
	stop_queue(ctx, 14);
	unbind(ctx);
	KUNIT_EXPECT_GE(test, ktime_us_delta(ktime_get(), begin),
			14 * (ARM_SMMU_POLL_TIMEOUT_US / 2));
	cancel_delayed_work_sync(&ctx->go_on);
	expect_unbound(test, false);
}

/* Who comes from user space or goes there waits, the host for itself does not. */
static void test_must_confirm(struct kunit *test)
{
	static const struct iommu_domain user = { .type = IOMMU_DOMAIN_UNMANAGED };
	static const struct iommu_domain process = { .type = IOMMU_DOMAIN_SVA };
	static const struct iommu_domain host = { .type = IOMMU_DOMAIN_DMA };
	static const struct iommu_domain none = { .type = IOMMU_DOMAIN_BLOCKED };

	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(&user, &none));
	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(&none, &user));
	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(&process, NULL));
	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(NULL, &process));
	KUNIT_EXPECT_FALSE(test, arm_smmu_must_confirm(NULL, &host));
	/* Who owns a blocked device may be given it. */
	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(&host, &none));
	KUNIT_EXPECT_TRUE(test, arm_smmu_must_confirm(&none, &none));
	KUNIT_EXPECT_FALSE(test, arm_smmu_must_confirm(&none, &host));
}

/* What attaches have added to the list of devices */
static void forget_attaches(struct test_ctx *ctx)
{
	struct arm_smmu_master_domain *master_domain, *next;

	list_for_each_entry_safe(master_domain, next, &ctx->stage2.devices,
				 devices_elm) {
		if (master_domain == &ctx->master_domain)
			continue;
		list_del(&master_domain->devices_elm);
		kfree(master_domain);
	}
}

/*
 * Nor is an attach, which takes a guest's table out as well: what was there before
 * belongs to somebody else then. The device is in no group: to the driver, it comes
 * from no domain.
 */
static void test_attach_timeout(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_ste abort;

	ctx->master.num_streams = 1;
	attach(test, true, false);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	/* What is cached of the guest's table, with the entry confirmed */
	ctx->queue.stops_at = CMDQ_OP_CFGI_CD_ALL;
	ctx->queue.stops_for = 1000;
	arm_smmu_attach_dev_blocked(NULL, &ctx->dev);
	KUNIT_EXPECT_TRUE(test, cancel_delayed_work_sync(&ctx->go_on));
	KUNIT_EXPECT_TRUE(test, ctx->master.unconfirmed);
	go_on(&ctx->go_on.work);
	arm_smmu_make_abort_ste(&abort);
	KUNIT_EXPECT_MEMEQ(test, ctx->strtab[SID_0].data, abort.data,
			   sizeof(abort));
	KUNIT_EXPECT_NULL(test, ctx->master.bond);
	unbind(ctx);

	/* To a domain with tables, and without a guest's table before */
	mutex_init(&ctx->stage2.init_mutex);
	ctx->stage2.domain.type = IOMMU_DOMAIN_UNMANAGED;
	ctx->master_domain.nested = false;
	ctx->master.unconfirmed = false;
	stop_queue(ctx, 7);
	KUNIT_EXPECT_EQ(test, arm_smmu_attach_dev(&ctx->stage2.domain,
						  &ctx->dev), 0);
	KUNIT_EXPECT_FALSE(test, cancel_delayed_work_sync(&ctx->go_on));
	expect_unbound(test, false);
	/* Nobody waits for that again. */
	KUNIT_EXPECT_FALSE(test, ctx->master.unconfirmed);

	/* To the blocked domain: any domain of user space will do for the other. */
	stop_queue(ctx, 7);
	arm_smmu_attach_dev_blocked(&ctx->stage2.domain, &ctx->dev);
	KUNIT_EXPECT_FALSE(test, cancel_delayed_work_sync(&ctx->go_on));
	KUNIT_EXPECT_FALSE(test, ctx->master.unconfirmed);
	forget_attaches(ctx);
}

/*
 * A device that joins a group is not attached yet to what the group has. Afterwards
 * it is asked what it has cached, as one that is attached once more.
 */
static void test_attach_joins(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_attach_state state = {
		.master = &ctx->master,
		.ssid = IOMMU_NO_PASID,
	};
	int i;

	attach(test, true, true);
	ctx->stage2.domain.type = IOMMU_DOMAIN_UNMANAGED;
	list_del(&ctx->master_domain.devices_elm);
	ctx->pdev->ats_enabled = 0;
	atomic_set(&ctx->stage2.nr_ats_masters, 0);
	ctx->master.ats_enabled = false;

	mutex_lock(&arm_smmu_asid_lock);
	for (i = 0; i < 2; i++) {
		state.old_domain = &ctx->stage2.domain;
		KUNIT_EXPECT_EQ(test,
				arm_smmu_attach_prepare(&state,
							&ctx->stage2.domain),
				0);
		arm_smmu_attach_commit(&state);
		KUNIT_EXPECT_TRUE(test, ctx->master.ats_enabled);
		KUNIT_EXPECT_EQ(test, list_count_nodes(&ctx->stage2.devices), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&ctx->stage2.nr_ats_masters),
				1);
	}
	mutex_unlock(&arm_smmu_asid_lock);
	forget_attaches(ctx);
}

/* What the device has cached of the old domain is confirmed, too. */
static void test_attach_atc_timeout(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	ctx->master.num_streams = 1;
	attach(test, true, true);
	mutex_init(&ctx->stage2.init_mutex);
	ctx->stage2.domain.type = IOMMU_DOMAIN_UNMANAGED;
	ctx->queue.stops_at = CMDQ_OP_ATC_INV;
	ctx->queue.stops_for = 5;
	KUNIT_EXPECT_EQ(test, arm_smmu_attach_dev(&ctx->stage2.domain,
						  ctx->master.dev), 0);
	KUNIT_EXPECT_EQ(test, ctx->queue.stops_for, 0U);
	KUNIT_EXPECT_FALSE(test, cancel_delayed_work_sync(&ctx->go_on));
	KUNIT_EXPECT_FALSE(test, ctx->master.unconfirmed);
	forget_attaches(ctx);
}

/* Nor is an unmap. */
static void test_unmap_timeout(struct kunit *test)
{
	static const u8 opcodes[] = {
		CMDQ_OP_TLBI_S2_IPA, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_TLBI_NH_ALL, CMDQ_OP_CMD_SYNC,
	};
	struct test_ctx *ctx = test->priv;
	ktime_t begin;
	int i;

	attach(test, true, false);
	ctx->stage2.domain.pgsize_bitmap = SZ_4K;
	begin = ktime_get();
	stop_queue(ctx, 5);
	arm_smmu_tlb_inv_range_domain(SZ_1M, SZ_4K, SZ_4K, true, &ctx->stage2);
	KUNIT_EXPECT_GE(test, ktime_us_delta(ktime_get(), begin),
			5 * (ARM_SMMU_POLL_TIMEOUT_US / 2));
	cancel_delayed_work_sync(&ctx->go_on);
	for (i = 0; i < ARRAY_SIZE(opcodes); i++)
		KUNIT_EXPECT_EQ(test, le64_to_cpu(ctx->queue.cmds[i][0]) &
				      CMDQ_0_OP, (u64)opcodes[i]);
	/* Then until one comes back */
	KUNIT_EXPECT_GE(test, count_cmds(ctx, i, CMDQ_OP_CMD_SYNC), 1U);
	KUNIT_EXPECT_EQ(test, count_cmds(ctx, i, CMDQ_OP_CMD_SYNC),
			ctx->queue.prod - i);
}

/*
 * Events
 */
static void test_evtq_passed(struct kunit *test)
{
	static const struct {
		u32 handled, prod;
		bool passed;
	} cases[] = {
		{ 5, 5, true }, { 4, 5, false }, { 6, 5, true },
		/* A full queue, and one that has been overtaken by as much */
		{ 1, 9, false }, { 9, 1, false }, { 10, 1, false },
		{ 2, 1, true }, { 8, 1, true }, { 0, 15, true },
		/* Around the end */
		{ 15, 0, false }, { 0, 0, true }, { 1, 0, true },
		{ 15, 2, false }, { 2, 2, true }, { 3, 2, true },
		/* The overflow flag is no part of the index. */
		{ BIT(31) | 5, 5, true }, { 4, BIT(31) | 5, false },
	};
	struct arm_smmu_queue q = { .llq.max_n_shift = 3 };
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, cases[i].passed,
				    arm_smmu_uapi_evtq_passed(&q,
							      cases[i].handled,
							      cases[i].prod),
				    "case %d", i);
}

/* What is in the queue when a device changes hands is not the next guest's. */
static void test_left_evts(struct kunit *test)
{
	struct arm_smmu_master_domain *master_domain;
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_evtq *evtq = &ctx->smmu.evtq;

	attach(test, true, false);
	mutex_init(&ctx->stage2.init_mutex);
	ctx->stage2.domain.type = IOMMU_DOMAIN_UNMANAGED;
	list_del(&ctx->master_domain.devices_elm);
	KUNIT_ASSERT_EQ(test, arm_smmu_attach_dev(&ctx->stage2.domain,
						  &ctx->dev), 0);

	evtq->q.irq = 1;
	evtq->q.llq.max_n_shift = QUEUE_SHIFT;
	evtq->handled = 4;
	ctx->evtq_prod = 5;
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0),
			-EBUSY);
	KUNIT_EXPECT_NULL(test, ctx->master.bond);
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0),
			-EBUSY);
	evtq->handled = 5;
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	/* Those that come now are this one's, and keep no other table out. */
	ctx->evtq_prod = 6;
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	unbind(ctx);
	KUNIT_EXPECT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0),
			-EBUSY);
	evtq->handled = 6;

	master_domain = list_first_entry(&ctx->stage2.devices,
					 struct arm_smmu_master_domain,
					 devices_elm);
	list_del(&master_domain->devices_elm);
	kfree(master_domain);
}

static void count_lost(struct iommu_uapi_bond *bond)
{
	struct test_ctx *ctx = container_of(bond, struct test_ctx, bond);

	ctx->nr_lost++;
	ctx->lost_at = ctx->evtq_cons;
}

static void insert_streams(struct test_ctx *ctx)
{
	struct rb_root *streams = &ctx->smmu.streams;

	ctx->streams[0].master = &ctx->master;
	ctx->streams[1].master = &ctx->master;
	rb_link_node(&ctx->streams[0].node, NULL, &streams->rb_node);
	rb_insert_color(&ctx->streams[0].node, streams);
	rb_link_node(&ctx->streams[1].node, &ctx->streams[0].node,
		     &ctx->streams[0].node.rb_right);
	rb_insert_color(&ctx->streams[1].node, streams);
}

static void test_lost_evts(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;

	attach(test, true, false);
	insert_streams(ctx);
	kunit_activate_static_stub(test, iommu_uapi_report_lost, count_lost);

	arm_smmu_uapi_lost_evts(&ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 0U);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	arm_smmu_uapi_lost_evts(&ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 1U);
	unbind(ctx);
	arm_smmu_uapi_lost_evts(&ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 1U);
}

/* Events are lost while there are more, of a device that may never stop. */
static void test_overflow(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct arm_smmu_queue *q = &ctx->smmu.evtq.q;

	attach(test, true, false);
	insert_streams(ctx);
	kunit_activate_static_stub(test, iommu_uapi_report_lost, count_lost);
	KUNIT_ASSERT_EQ(test, bind(ctx, IOMMU_PASID_CONFIG_TRANSLATE, 0), 0);
	q->llq.max_n_shift = ilog2(ARRAY_SIZE(ctx->evts));
	q->base = (__le64 *)ctx->evts;
	q->ent_dwords = EVTQ_ENT_DWORDS;
	q->cons_reg = (u32 __force __iomem *)&ctx->evtq_cons;

	/* The overflow flag is acknowledged, and the guest told, at once. */
	ctx->evtq_prod = Q_OVERFLOW_FLAG | 3;
	arm_smmu_evtq_thread(0, &ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 1U);
	KUNIT_EXPECT_EQ(test, ctx->lost_at, Q_OVERFLOW_FLAG);
	KUNIT_EXPECT_EQ(test, ctx->evtq_cons, ctx->evtq_prod);

	/* So the next one is seen as such, and nothing else is. */
	ctx->evtq_prod = 5;
	arm_smmu_evtq_thread(0, &ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 2U);
	KUNIT_EXPECT_EQ(test, ctx->lost_at, 3U);
	ctx->evtq_prod = 6;
	arm_smmu_evtq_thread(0, &ctx->smmu);
	KUNIT_EXPECT_EQ(test, ctx->nr_lost, 2U);
	KUNIT_EXPECT_EQ(test, ctx->evtq_cons, ctx->evtq_prod);
	unbind(ctx);
}

/* Domains for nesting, and only they, have write-back forced if possible. */
static void test_write_back(struct kunit *test)
{
	static const struct {
		bool nest_parent, s2fwb;
		u64 attr;
	} cases[] = {
		{ true, true, 6 }, { true, false, 0xf }, { false, true, 0xf },
	};
	struct test_ctx *ctx = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arm_smmu_domain domain = {
			.stage = ARM_SMMU_DOMAIN_S2,
			.nest_parent = cases[i].nest_parent,
		};
		struct arm_smmu_ste ste;
		struct io_pgtable_cfg *cfg;
		struct io_pgtable_ops *ops;
		size_t mapped = 0;
		u64 *table, pte;
		int ret;

		fake_queue_init(ctx, true);
		ida_init(&ctx->smmu.vmid_map);
		ctx->smmu.vmid_bits = 8;
		/* Three levels of 4 KiB */
		ctx->smmu.pgsize_bitmap = SZ_4K;
		ctx->smmu.ias = 39;
		ctx->smmu.oas = 40;
		ctx->smmu.features &= ~(ARM_SMMU_FEAT_S2FWB | ARM_SMMU_FEAT_ATS);
		if (cases[i].s2fwb)
			ctx->smmu.features |= ARM_SMMU_FEAT_S2FWB;
		ret = arm_smmu_domain_finalise(&domain, &ctx->smmu, 0);
		KUNIT_ASSERT_EQ(test, ret, 0);

		ops = domain.pgtbl_ops;
		cfg = &io_pgtable_ops_to_pgtable(ops)->cfg;
		ret = ops->map_pages(ops, 0, SZ_1G, SZ_4K, 1, IOMMU_READ |
				     IOMMU_WRITE | IOMMU_CACHE, GFP_KERNEL,
				     &mapped);
		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_EQ(test, mapped, (size_t)SZ_4K);
		table = phys_to_virt(cfg->arm_lpae_s2_cfg.vttbr);
		table = phys_to_virt(table[0] & GENMASK_ULL(47, 12));
		table = phys_to_virt(table[0] & GENMASK_ULL(47, 12));
		pte = table[0];
		KUNIT_EXPECT_EQ(test, pte & GENMASK_ULL(47, 12), (u64)SZ_1G);
		KUNIT_EXPECT_EQ(test, pte >> 2 & 0xf, cases[i].attr);

		/* The hardware reads them so. */
		arm_smmu_make_s2_domain_ste(&ste, &ctx->master, &domain, false);
		KUNIT_EXPECT_EQ(test, !!(ste.data[1] &
					 cpu_to_le64(STRTAB_STE_1_S2FWB)),
				cases[i].attr == 6);

		free_io_pgtable_ops(ops);
		ida_destroy(&ctx->smmu.vmid_map);
	}
}

/* There are as many domains as VMIDs, and whoever comes later is told so. */
static void test_no_vmid(struct kunit *test)
{
	struct arm_smmu_domain domain = { .stage = ARM_SMMU_DOMAIN_S2 };
	struct test_ctx *ctx = test->priv;
	int ret;

	fake_queue_init(ctx, true);
	ctx->smmu.features &= ~ARM_SMMU_FEAT_ATS;
	ctx->smmu.pgsize_bitmap = SZ_4K;
	ctx->smmu.ias = 39;
	ctx->smmu.oas = 40;
	ida_init(&ctx->smmu.vmid_map);
	ctx->smmu.vmid_bits = 1;
	ret = ida_alloc_range(&ctx->smmu.vmid_map, 1, 1, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, ret, 1);

	ret = arm_smmu_domain_finalise(&domain, &ctx->smmu, 0);
	KUNIT_EXPECT_EQ(test, ret, -ENOSPC);
	/* It is as new. */
	KUNIT_EXPECT_NULL(test, domain.pgtbl_ops);
	KUNIT_EXPECT_NULL(test, domain.smmu);

	ida_free(&ctx->smmu.vmid_map, 1);
	ret = arm_smmu_domain_finalise(&domain, &ctx->smmu, 0);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_PTR_EQ(test, domain.smmu, &ctx->smmu);
	free_io_pgtable_ops(domain.pgtbl_ops);
	ida_destroy(&ctx->smmu.vmid_map);
}

static struct kunit_case arm_smmu_uapi_test_cases[] = {
	KUNIT_CASE(test_supported),
	KUNIT_CASE(test_can_nest_on),
	KUNIT_CASE(test_registers),
	KUNIT_CASE(test_check_config),
	KUNIT_CASE(test_ste_fields),
	KUNIT_CASE(test_ste_transitions),
	KUNIT_CASE(test_ste_replace),
	KUNIT_CASE(test_decode_inv),
	KUNIT_CASE(test_cmd_encoding),
	KUNIT_CASE(test_range_normal),
	KUNIT_CASE(test_range_without_ril),
	KUNIT_CASE(test_atc),
	KUNIT_CASE(test_inv_done),
	KUNIT_CASE(test_inv_atc_timeout),
	KUNIT_CASE(test_bind_ats),
	KUNIT_CASE(test_step),
	KUNIT_CASE(test_unmap_atc),
	KUNIT_CASE(test_silent_device),
	KUNIT_CASE(test_others_silence),
	KUNIT_CASE(test_events),
	KUNIT_CASE(test_evtq_passed),
	KUNIT_CASE(test_left_evts),
	KUNIT_CASE(test_lost_evts),
	KUNIT_CASE(test_overflow),
	KUNIT_CASE(test_write_back),
	KUNIT_CASE(test_no_vmid),
	KUNIT_CASE(test_must_confirm),
	KUNIT_CASE(test_attach_joins),
	{},
};

static struct kunit_suite arm_smmu_uapi_test_suite = {
	.name = "arm-smmu-v3-uapi",
	.init = test_init,
	.test_cases = arm_smmu_uapi_test_cases,
};

/* Those that wait for hardware, some seconds each */
static struct kunit_case arm_smmu_uapi_wait_cases[] = {
	KUNIT_CASE_SLOW(test_inv_timeout),
	KUNIT_CASE_SLOW(test_bind_timeout),
	KUNIT_CASE_SLOW(test_unbind_timeout),
	KUNIT_CASE_SLOW(test_attach_timeout),
	KUNIT_CASE_SLOW(test_attach_atc_timeout),
	KUNIT_CASE_SLOW(test_unmap_timeout),
	{},
};

static struct kunit_suite arm_smmu_uapi_wait_suite = {
	.name = "arm-smmu-v3-uapi-wait",
	.init = test_init,
	.test_cases = arm_smmu_uapi_wait_cases,
};

kunit_test_suites(&arm_smmu_uapi_test_suite, &arm_smmu_uapi_wait_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests of the SMMUv3's part of the IOMMU user API");
MODULE_LICENSE("GPL");
