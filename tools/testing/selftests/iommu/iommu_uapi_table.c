// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: a whole guest PASID table, of SMMUv3 context descriptors over
 * Arm page tables
 */
#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

#define VA_A		0x7f1234567000ULL
#define VA_B		0x00c0ffeed000ULL

#define IOTLB		IOMMU_CACHE_INV_TYPE_IOTLB
#define DEVTLB		IOMMU_CACHE_INV_TYPE_DEV_IOTLB
#define PASID_CACHE	IOMMU_CACHE_INV_TYPE_PASID

#define DEV(n)		(self->vmm.dev[n])

/* Arm SMMUv3 specification, section 5.4; upper addresses are not translated */
#define CD_SIZE		64
#define CD_T0SZ_48	16ULL
#define CD_EPD1		(1ULL << 30)
#define CD_V		(1ULL << 31)
#define CD_IPS_48	(5ULL << 32)
#define CD_TBI0		(1ULL << 38)
#define CD_AA64		(1ULL << 41)
#define CD_HD		(1ULL << 42)
#define CD_HA		(1ULL << 43)
#define CD_R		(1ULL << 45)
#define CD_A		(1ULL << 46)
#define CD_ASID(asid)	((__u64)(asid) << 48)
#define CD_VALID	(CD_T0SZ_48 | CD_EPD1 | CD_V | CD_IPS_48 | CD_AA64 | \
			 CD_R | CD_A)
/* Section 5.4.1: level 1 descriptor */
#define L1CD_V		1ULL

#define ARM_DBM		(1ULL << 51)

/* Address spaces: PASIDs of the guest's own choice */
#define NR_SPACES	3
static const __u32 pasids[NR_SPACES] = { 1, 2, 7 };
#define PASID_BITS	4
#define ASID(i)		(0x50 + (i))

FIXTURE(table)
{
	struct vmm vmm;
	struct scope scope;
	/* Guest-physical address of the table */
	__u64 cds;
	struct guest_pt pt[NR_SPACES];
	/* Where VA_A leads in each */
	__u64 page[NR_SPACES];
	/* The same for requests without PASID */
	struct guest_pt pt0;
	__u64 page0;
	__u64 old_page, new_page;
	int fault;
};

FIXTURE_VARIANT(table)
{
	bool device;
};

FIXTURE_VARIANT_ADD(table, container)
{
};

FIXTURE_VARIANT_ADD(table, device)
{
	.device = true,
};

/* Write a context descriptor at @gpa; it becomes valid last */
static void write_cd(struct vmm *vmm, __u64 gpa, const struct guest_pt *pt,
		     __u64 cd0)
{
	guest_write(vmm, gpa, 0);
	guest_write(vmm, gpa + 8, pt->root);
	guest_write(vmm, gpa, cd0);
}

static __u64 cd_gpa(__u64 cds, __u32 pasid)
{
	return cds + (__u64)pasid * CD_SIZE;
}

FIXTURE_SETUP(table)
{
	int i;

	if (!mock_present())
		SKIP(return, "no mock hardware");
	self->fault = -1;
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PASID_TABLE));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x3));
	self->scope = variant->device ? device_scope(&self->vmm, 0) :
					container_scope(&self->vmm);
	self->cds = guest_page(&self->vmm);
	self->old_page = guest_page(&self->vmm);
	self->new_page = guest_page(&self->vmm);
	for (i = 0; i < NR_SPACES; i++) {
		guest_pt_init(&self->pt[i], &self->vmm, GUEST_PT_ARM, 4);
		self->page[i] = guest_page(&self->vmm);
		guest_map(&self->pt[i], VA_A, self->page[i]);
		write_cd(&self->vmm, cd_gpa(self->cds, pasids[i]),
			 &self->pt[i], CD_VALID | CD_ASID(ASID(i)));
	}
	guest_pt_init(&self->pt0, &self->vmm, GUEST_PT_ARM, 4);
	self->page0 = guest_page(&self->vmm);
	guest_map(&self->pt0, VA_A, self->page0);
	write_cd(&self->vmm, self->cds, &self->pt0, CD_VALID | CD_ASID(0x40));
}

FIXTURE_TEARDOWN(table)
{
	/* Should a test end early: nothing else can be closed before */
	_test_cmd_inject(DEV(0), 0, MOCK_INJECT_BIND_HELD, 0);
	close_fd(&self->fault);
	vmm_close(&self->vmm);
	params_restore();
}

#define translate()							\
	table_config(IOMMU_PASID_CONFIG_TRANSLATE, self->cds, PASID_BITS)

#define test_all_spaces(dev)						\
	({								\
		int _i;							\
									\
		for (_i = 0; _i < NR_SPACES; _i++)			\
			test_dma(dev, pasids[_i], VA_A,			\
				 self->page[_i]);			\
		test_dma(dev, NO_PASID, VA_A, self->page0);		\
	})

#define test_stage2_alone(dev)						\
	({								\
		test_dma(dev, NO_PASID, self->page0, self->page0);	\
		test_dma_stopped(MOCK_DMA_ABORT_S2, dev, NO_PASID,	\
				 VA_A);					\
		test_dma_stopped(MOCK_DMA_BLOCKED, dev, pasids[0],	\
				 VA_A);					\
	})

TEST_F(table, dma)
{
	int i;

	test_stage2_alone(DEV(0));
	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	/* Neither guest-physical nor host addresses get through */
	for (i = 0; i < NR_SPACES; i++) {
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[i],
				 self->page[i]);
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[i], VA_B);
	}
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), NO_PASID, self->page0);
	/* One binding for all of them */
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);

	test_cmd_unbind_table(self->scope);
	test_stage2_alone(DEV(0));
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	EXPECT_EQ(0, mock_stats(DEV(0)).iotlb_entries);
	test_err_unbind_table(ENOENT, self->scope);
}

/* Devices of one group cannot be told apart */
TEST_F(table, shared_group)
{
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 3));
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 4));
	test_err_bind_table(EPERM, device_scope(&self->vmm, 3), translate());
	test_err_bind_table(EPERM, device_scope(&self->vmm, 4), translate());
	test_err_bind_table(EPERM, container_scope(&self->vmm), translate());
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	test_dma(DEV(3), NO_PASID, self->page0, self->page0);
	test_stage2_alone(DEV(0));
	/* The others are still good for it */
	test_cmd_bind_table(device_scope(&self->vmm, 0), translate());
	test_all_spaces(DEV(0));
}

/* A descriptor that is made later needs no call at all */
TEST_F(table, new_descriptor)
{
	test_cmd_bind_table(self->scope, translate());
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), 5, VA_A);
	write_cd(&self->vmm, cd_gpa(self->cds, 5), &self->pt[0],
		 CD_VALID | CD_ASID(0x60));
	test_dma(DEV(0), 5, VA_A, self->page[0]);
}

/* What requests without PASID get when there are PASIDs */
TEST_F(table, default_substream)
{
	struct iommu_pasid_table_config cfg = translate();

	cfg.vendor.smmuv3.s1dss = IOMMU_PASID_SMMUV3_S1DSS_TERMINATE;
	test_cmd_bind_table(self->scope, cfg);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), NO_PASID, VA_A);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), NO_PASID, self->page0);
	test_dma(DEV(0), pasids[0], VA_A, self->page[0]);
	/* Number 0 is a PASID like others then */
	test_dma(DEV(0), 0, VA_A, self->page0);

	cfg.vendor.smmuv3.s1dss = IOMMU_PASID_SMMUV3_S1DSS_BYPASS;
	test_cmd_bind_table(self->scope, cfg);
	test_dma(DEV(0), NO_PASID, self->page0, self->page0);
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), NO_PASID, VA_A);
	test_dma(DEV(0), pasids[0], VA_A, self->page[0]);

	cfg.vendor.smmuv3.s1dss = IOMMU_PASID_SMMUV3_S1DSS_SSID0;
	test_cmd_bind_table(self->scope, cfg);
	test_dma(DEV(0), NO_PASID, VA_A, self->page0);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), 0, VA_A);
	test_dma(DEV(0), pasids[0], VA_A, self->page[0]);
}

/* One descriptor, no PASIDs */
TEST_F(table, one_descriptor)
{
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_TRANSLATE,
					 self->cds, 0));
	test_dma(DEV(0), NO_PASID, VA_A, self->page0);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[0], VA_A);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), 0, VA_A);
}

TEST_F(table, two_levels)
{
	static const struct {
		__u8 s1fmt;
		unsigned int split;
		__u8 bits;
	} formats[] = {
		{ IOMMU_PASID_SMMUV3_S1FMT_4K_L2, 6, 8 },
		{ IOMMU_PASID_SMMUV3_S1FMT_64K_L2, 10, 12 },
	};
	unsigned int i, j, f;

	for (f = 0; f < ARRAY_SIZE(formats); f++) {
		__u32 per_leaf = 1 << formats[f].split;
		__u64 l1 = guest_page(&self->vmm), l2[2];
		struct iommu_pasid_table_config cfg =
			table_config(IOMMU_PASID_CONFIG_TRANSLATE, l1,
				     formats[f].bits);

		cfg.vendor.smmuv3.s1fmt = formats[f].s1fmt;
		for (i = 0; i < 2; i++) {
			/* Aligned to its size */
			do {
				l2[i] = guest_page(&self->vmm);
			} while (l2[i] & (per_leaf * CD_SIZE - 1));
			for (j = SZ_4K; j < per_leaf * CD_SIZE; j += SZ_4K)
				guest_page(&self->vmm);
		}
		/* The first leaf, and the third */
		guest_write(&self->vmm, l1, l2[0] | L1CD_V);
		guest_write(&self->vmm, l1 + 2 * 8, l2[1] | L1CD_V);
		write_cd(&self->vmm, l2[0], &self->pt0, CD_VALID);
		write_cd(&self->vmm, cd_gpa(l2[0], per_leaf - 1), &self->pt[0],
			 CD_VALID | CD_ASID(1));
		write_cd(&self->vmm, cd_gpa(l2[1], 3), &self->pt[1],
			 CD_VALID | CD_ASID(2));
		test_cmd_bind_table(self->scope, cfg);
		test_dma(DEV(0), NO_PASID, VA_A, self->page0);
		test_dma(DEV(0), per_leaf - 1, VA_A, self->page[0]);
		test_dma(DEV(0), 2 * per_leaf + 3, VA_A, self->page[1]);
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), 2 * per_leaf, VA_A);
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), per_leaf, VA_A);
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0),
				 1 << formats[f].bits, VA_A);
	}
}

TEST_F(table, bypass_and_abort)
{
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0));
	test_stage2_alone(DEV(0));
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);

	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0));
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, self->page0);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, VA_A);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), pasids[0], VA_A);
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);

	test_cmd_unbind_table(self->scope);
	test_stage2_alone(DEV(0));
}

/* A new configuration takes the place of the old one, with nothing between */
TEST_F(table, replace)
{
	struct iommu_pasid_table_config other;
	__u64 cds = guest_page(&self->vmm);

	write_cd(&self->vmm, cd_gpa(cds, pasids[0]), &self->pt[1],
		 CD_VALID | CD_ASID(ASID(0)));
	other = table_config(IOMMU_PASID_CONFIG_TRANSLATE, cds, PASID_BITS);

	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	test_cmd_bind_table(self->scope, other);
	test_dma(DEV(0), pasids[0], VA_A, self->page[1]);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[1], VA_A);
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0));
	test_stage2_alone(DEV(0));
	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));

	/* An attempt that fails is none */
	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_ERROR, 1);
	test_err_bind_table(EIO, self->scope, other);
	test_all_spaces(DEV(0));
	other.base_ptr |= 32;
	test_err_bind_table(EINVAL, self->scope, other);
	other.base_ptr = 1ULL << 60;
	test_err_bind_table(EINVAL, self->scope, other);
	test_all_spaces(DEV(0));
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);
	test_cmd_unbind_table(self->scope);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
}

#define TRACE_BOUND	"iommu_uapi_bind_pasid_table: dev=%s config=%u "

/* A replacement is traced like the first one, what is refused is not. */
TEST_F(table, trace)
{
	struct iommu_pasid_table_config cfg = translate();
	char name[32];
	int i;

	rmdir(TRACE_INSTANCE);
	if (mkdir(TRACE_INSTANCE, 0700))
		SKIP(return, "no tracing");
	ASSERT_EQ(0, param_set(TRACE_ENABLE, 1));

	test_cmd_bind_table(self->scope, cfg);
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0));
	cfg.pasid_bits = 21;
	test_err_bind_table(EINVAL, self->scope, cfg);
	test_cmd_unbind_table(self->scope);

	for (i = 0; i < (variant->device ? 1 : 2); i++) {
		snprintf(name, sizeof(name), "iommu-uapi-mock.%d", i);
		test_traced(TRACE_BOUND "pasid_bits=%u base_ptr=%#llx", name,
			    IOMMU_PASID_CONFIG_TRANSLATE, PASID_BITS, self->cds);
		test_traced(TRACE_BOUND "pasid_bits=0", name,
			    IOMMU_PASID_CONFIG_ABORT);
		test_traced("iommu_uapi_unbind: dev=%s PASID table pasid=0",
			    name);
	}
	EXPECT_EQ(2 * i, traced("iommu_uapi_bind_pasid_table: "));

	ASSERT_EQ(0, param_set(TRACE_ENABLE, 0));
	EXPECT_EQ(0, rmdir(TRACE_INSTANCE));
}

#define test_err_changed(_errno, _field, _value)			\
	({								\
		struct iommu_pasid_table_config _cfg = translate();	\
									\
		_cfg._field = _value;					\
		test_err_bind_table(_errno, self->scope, _cfg);		\
	})

TEST_F(table, errors)
{
	struct iommu_pasid_table_config cfg;
	struct guest_pt pt;
	unsigned int i;

	test_err_changed(EINVAL, format, 0);
	test_err_changed(EINVAL, format, IOMMU_PASID_FORMAT_INTEL_VTD);
	test_err_changed(EINVAL, format, 3);
	test_err_changed(EINVAL, format, UINT_MAX);
	test_err_changed(EINVAL, config, 0);
	for (i = 4; i < 256; i++)
		test_err_changed(EINVAL, config, i);
	test_err_changed(EINVAL, pasid_bits, MOCK_PASID_BITS + 1);
	test_err_changed(EINVAL, pasid_bits, 32);
	test_err_changed(EINVAL, pasid_bits, 255);
	for (i = 0; i < 6; i++)
		test_err_changed(EINVAL, base_ptr, self->cds | 1ULL << i);
	test_err_changed(EINVAL, base_ptr, 1ULL << 63);
	test_err_changed(EINVAL, vendor.smmuv3.s1fmt, 3);
	test_err_changed(EINVAL, vendor.smmuv3.s1fmt, 255);
	test_err_changed(EINVAL, vendor.smmuv3.s1dss, 3);
	test_err_changed(EINVAL, vendor.smmuv3.s1dss, 255);
	/* Two levels are aligned to the size of the first: 2^14 descriptors */
	cfg = translate();
	cfg.vendor.smmuv3.s1fmt = IOMMU_PASID_SMMUV3_S1FMT_4K_L2;
	cfg.pasid_bits = MOCK_PASID_BITS;
	cfg.base_ptr = GUEST_RAM + SZ_4K;
	test_err_bind_table(EINVAL, self->scope, cfg);

	/* PASIDs are the guest's own here, and so are all page tables */
	test_err_pasid_alloc(EOPNOTSUPP, self->vmm.container, 1, 100);
	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 4);
	test_err_bind(EOPNOTSUPP, self->scope, &pt, NO_PASID);
	test_err_unbind(ENOENT, self->scope, NO_PASID);
	test_err_unbind_table(ENOENT, self->scope);

	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	test_stage2_alone(DEV(0));
	test_cmd_bind_table(self->scope, translate());
	test_err_bind(EOPNOTSUPP, self->scope, &pt, NO_PASID);
	test_all_spaces(DEV(0));
}

TEST_F(table, hundred_rounds)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		test_cmd_bind_table(self->scope, translate());
		test_dma_read(DEV(0), pasids[0], VA_A, self->page[0]);
		test_cmd_bind_table(self->scope,
				    table_config(IOMMU_PASID_CONFIG_ABORT, 0,
						 0));
		test_cmd_unbind_table(self->scope);
	}
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
}

TEST_F(table, device_closed)
{
	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	close_fd(&DEV(0));
	self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
	ASSERT_LE(0, DEV(0));
	if (variant->device)
		test_stage2_alone(DEV(0));
	else
		test_all_spaces(DEV(0));
}

/* The last one to replace a table decides how long it lives */
TEST_F(table, scopes_meet)
{
	struct scope other = variant->device ? container_scope(&self->vmm) :
					       device_scope(&self->vmm, 0);

	test_cmd_bind_table(other, table_config(IOMMU_PASID_CONFIG_BYPASS, 0,
						0));
	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	close_fd(&DEV(0));
	self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
	ASSERT_LE(0, DEV(0));
	if (variant->device) {
		test_stage2_alone(DEV(0));
	} else {
		test_all_spaces(DEV(0));
		test_cmd_unbind_table(device_scope(&self->vmm, 0));
		test_stage2_alone(DEV(0));
	}
}

TEST_F(table, two_devices)
{
	struct iommu_pasid_table_config other;
	struct scope dev1 = device_scope(&self->vmm, 1);
	__u64 cds = guest_page(&self->vmm);
	int failing;

	write_cd(&self->vmm, cd_gpa(cds, pasids[0]), &self->pt[1], CD_VALID);
	other = table_config(IOMMU_PASID_CONFIG_TRANSLATE, cds, PASID_BITS);

	if (variant->device) {
		test_cmd_bind_table(self->scope, translate());
		test_all_spaces(DEV(0));
		test_stage2_alone(DEV(1));
		test_err_unbind_table(ENOENT, dev1);
		return;
	}
	/* All or nothing, with nothing there before */
	for (failing = 0; failing < 2; failing++) {
		test_cmd_inject(DEV(failing), MOCK_INJECT_BIND_ERROR, 1);
		test_err_bind_table(EIO, self->scope, translate());
		test_stage2_alone(DEV(0));
		test_stage2_alone(DEV(1));
		EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	}
	/* With different tables before: each goes back to its own, and its last */
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0));
	test_cmd_bind_table(self->scope, translate());
	test_cmd_bind_table(dev1, other);
	for (failing = 0; failing < 2; failing++) {
		test_cmd_inject(DEV(failing), MOCK_INJECT_BIND_ERROR, 1);
		test_err_bind_table(EIO, self->scope,
				    table_config(IOMMU_PASID_CONFIG_ABORT, 0,
						 0));
		test_all_spaces(DEV(0));
		test_dma(DEV(1), pasids[0], VA_A, self->page[1]);
	}
	/* Including how long it lives */
	close_fd(&DEV(0));
	close_fd(&DEV(1));
	self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
	self->vmm.dev[1] = mock_open_device(self->vmm.group[1], 1);
	test_all_spaces(DEV(0));
	test_stage2_alone(DEV(1));
	/* It takes one device with a table for the container to have one */
	test_cmd_unbind_table(self->scope);
	test_err_unbind_table(ENOENT, self->scope);
	/* There is nothing to go back to any more */
	test_cmd_inject(DEV(1), MOCK_INJECT_BIND_ERROR, 1);
	test_err_bind_table(EIO, self->scope, translate());
	test_stage2_alone(DEV(0));
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
}

/* An invalidation that comes while a table is bound is not left out */
TEST_F(table, invalidation_beside_bind)
{
	struct iommu_cache_invalidate_info inv = inv_domain(IOTLB | PASID_CACHE);
	struct iommu_pasid_table_config cfg = translate();
	struct call_thread bind, all;

	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 1);
	ASSERT_EQ(0, call_start(&bind, device_scope(&self->vmm, 0),
				OP_BIND_PASID_TABLE, &cfg, sizeof(cfg)));
	EXPECT_TRUE(bind_is_held(DEV(0)));
	test_dma(DEV(0), pasids[0], VA_A, self->page[0]);
	guest_map(&self->pt[0], VA_A, self->new_page);

	ASSERT_EQ(0, call_start(&all, self->scope, OP_INVALIDATE, &inv,
				inv.argsz));
	EXPECT_FALSE(call_is_back(&all, 200));

	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 0);
	EXPECT_EQ(0, call_end(&bind));
	EXPECT_EQ(0, call_end(&all));
	test_dma(DEV(0), pasids[0], VA_A, self->new_page);
}

/*
 * A container's bind that fails on the second device, and the first refuses the
 * configuration that it had
 */
TEST_F(table, not_restored)
{
	struct iommu_pasid_table_config bypass =
		table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0);
	struct scope container = container_scope(&self->vmm);
	unsigned int refusals, again;

	for (refusals = 1; refusals <= 2; refusals++) {
		test_cmd_bind_table(container, translate());
		test_cmd_bind_table(self->scope, translate());
		test_cmd_inject_after_one(DEV(0), MOCK_INJECT_BIND_ERROR,
					  refusals);
		test_cmd_inject(DEV(1), MOCK_INJECT_BIND_ERROR, 1);
		test_err_bind_table(EIO, container, bypass);
		/* What is in force then is what another failure goes back to */
		for (again = 0; again < 2; again++) {
			if (refusals == 2) {
				/* Refused "abort" as well: it has the new one */
				test_stage2_alone(DEV(0));
			} else {
				test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0),
						 NO_PASID, self->page0);
				test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0),
						 pasids[0], VA_A);
			}
			test_all_spaces(DEV(1));
			test_cmd_inject(DEV(1), MOCK_INJECT_BIND_ERROR, 1);
			test_err_bind_table(EIO, container, translate());
		}
		EXPECT_EQ(1, mock_stats(DEV(0)).bonds);

		/* It lasts as long as the one it had */
		close_fd(&DEV(0));
		self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
		EXPECT_EQ(!variant->device, mock_stats(DEV(0)).bonds);
		if (variant->device)
			self->scope = device_scope(&self->vmm, 0);
		test_cmd_bind_table(container, translate());
		test_all_spaces(DEV(0));
		test_all_spaces(DEV(1));
		test_cmd_unbind_table(container);
		test_stage2_alone(DEV(0));
	}
}

/* ---------------------------------------------------------------------
 * Page tables of the Arm architecture
 */
TEST_F(table, page_sizes)
{
	int level;

	test_cmd_bind_table(self->scope, translate());
	for (level = 1; level <= 3; level++) {
		__u64 size = 1ULL << (12 + 9 * (level - 1));
		__u64 va = 64 * SZ_1G + level * 512 * SZ_1G;
		__u64 gpa = GUEST_BIG_PAGE & ~(size - 1);
		__u64 offset = GUEST_BIG_PAGE - gpa + (level > 1 ? 0x9000 : 0);

		guest_map_level(&self->pt[0], va, gpa, ARM_RW, level);
		test_dma(DEV(0), pasids[0], va + offset, gpa + offset);
		test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[0],
				 va + size);
	}
}

TEST_F(table, permission)
{
	__u64 value = 0;

	test_cmd_bind_table(self->scope, translate());
	guest_map_level(&self->pt[0], VA_B, self->page[0], ARM_RO, 1);
	test_dma_read(DEV(0), pasids[0], VA_B, self->page[0]);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), 0, pasids[0], VA_B,
						    fresh_value()));
	/* Privileged pages are not for others */
	guest_map_level(&self->pt[1], VA_B, self->page[1], ARM_RW & ~ARM_EL0,
			1);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[1], VA_B);
	test_dma_read_flags(DEV(0), MOCK_DMA_PRIV, pasids[1], VA_B,
			    self->page[1]);
	test_dma_write_flags(DEV(0), MOCK_DMA_PRIV, pasids[1], VA_B,
			     self->page[1]);
	/* Never executed (UXN) */
	guest_map_level(&self->pt[2], VA_B, self->page[2], ARM_RO | 1ULL << 54,
			1);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_read(DEV(0), MOCK_DMA_EXEC,
						   pasids[2], VA_B, &value));
	test_dma_read(DEV(0), pasids[2], VA_B, self->page[2]);
}

/* The access flag and the dirty state: by the guest, or by hardware if asked */
TEST_F(table, access_flag_and_dirty_state)
{
	const __u64 entry = guest_pt_entry(&self->pt[0], VA_B, 1);
	const __u64 cd = cd_gpa(self->cds, pasids[0]);

	test_cmd_bind_table(self->scope, translate());
	guest_map_level(&self->pt[0], VA_B, self->page[0], ARM_RW & ~ARM_AF, 1);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[0], VA_B);
	EXPECT_EQ(0, guest_read(&self->vmm, entry) & ARM_AF);

	write_cd(&self->vmm, cd, &self->pt[0],
		 CD_VALID | CD_HA | CD_HD | CD_ASID(ASID(0)));
	test_cmd_inv(self->scope, inv_pasid(PASID_CACHE, pasids[0]));
	test_dma(DEV(0), pasids[0], VA_B, self->page[0]);
	EXPECT_EQ(ARM_AF, guest_read(&self->vmm, entry) & ARM_AF);

	/* Writable, but clean */
	guest_map_level(&self->pt[0], VA_B, self->page[0], ARM_RO | ARM_DBM, 1);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, pasids[0]));
	test_dma_read(DEV(0), pasids[0], VA_B, self->page[0]);
	EXPECT_EQ(ARM_RDONLY, guest_read(&self->vmm, entry) & ARM_RDONLY);
	test_dma_write(DEV(0), pasids[0], VA_B, self->page[0]);
	EXPECT_EQ(0, guest_read(&self->vmm, entry) & ARM_RDONLY);
}

/* ---------------------------------------------------------------------
 * Invalidation
 */
#define test_stale(flags, i, va)					\
	test_dma_read_flags(DEV(0), flags, pasids[i], va, self->old_page)
#define test_fresh(flags, i, va)					\
	test_dma_read_flags(DEV(0), flags, pasids[i], va, self->new_page)

#define make_stale(flags, i, va)					\
	({								\
		guest_map(&self->pt[i], va, self->old_page);		\
		test_stale(flags, i, va);				\
		guest_map(&self->pt[i], va, self->new_page);		\
		test_stale(flags, i, va);				\
	})

#define make_all_stale(flags)						\
	({								\
		int _i;							\
									\
		for (_i = 0; _i < NR_SPACES; _i++) {			\
			make_stale(flags, _i, VA_A);			\
			make_stale(flags, _i, VA_B);			\
		}							\
	})

TEST_F(table, inv_domain)
{
	int i;

	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	for (i = 0; i < NR_SPACES; i++) {
		test_fresh(0, i, VA_A);
		test_fresh(0, i, VA_B);
	}
}

TEST_F(table, inv_pasid)
{
	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, pasids[1]));
	test_stale(0, 0, VA_A);
	test_fresh(0, 1, VA_A);
	test_fresh(0, 1, VA_B);
	test_stale(0, 2, VA_A);
	/* Numbers are the guest's own, there is no other that a flag could mean */
	test_cmd_inv(self->scope, inv_pasid(IOTLB, 9));
	test_stale(0, 0, VA_A);
}

/* By the tag of the architecture: all PASIDs that have it, and no others */
TEST_F(table, inv_asid)
{
	struct iommu_cache_invalidate_info info = inv_pasid(IOTLB, NO_PASID);

	write_cd(&self->vmm, cd_gpa(self->cds, pasids[2]), &self->pt[2],
		 CD_VALID | CD_ASID(ASID(0)));
	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	info.granu.pasid_info.flags = IOMMU_INV_PASID_FLAGS_ARCHID;
	info.granu.pasid_info.archid = ASID(0);
	test_cmd_inv(self->scope, info);
	test_fresh(0, 0, VA_A);
	test_stale(0, 1, VA_A);
	test_fresh(0, 2, VA_A);

	test_cmd_inv(self->scope, inv_domain(IOTLB));
	make_all_stale(0);
	info = inv_addr(IOTLB, NO_PASID, VA_B, SZ_4K, 1);
	info.granu.addr_info.flags = IOMMU_INV_ADDR_FLAGS_ARCHID;
	info.granu.addr_info.archid = ASID(1);
	test_cmd_inv(self->scope, info);
	test_stale(0, 1, VA_A);
	test_fresh(0, 1, VA_B);
	test_stale(0, 0, VA_B);
	test_stale(0, 2, VA_B);
}

TEST_F(table, inv_address)
{
	struct iommu_cache_invalidate_info info;

	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	test_cmd_inv(self->scope, inv_addr(IOTLB, pasids[0], VA_A, SZ_4K, 1));
	test_fresh(0, 0, VA_A);
	test_stale(0, 0, VA_B);
	test_stale(0, 1, VA_A);
	info = inv_addr(IOTLB, pasids[1], VA_A, SZ_4K, 1);
	info.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_LEAF;
	test_cmd_inv(self->scope, info);
	test_fresh(0, 1, VA_A);
	test_stale(0, 1, VA_B);
	info = inv_addr(IOTLB, NO_PASID, VA_B, SZ_4K, 1);
	info.granu.addr_info.flags = 0;
	test_cmd_inv(self->scope, info);
	test_fresh(0, 0, VA_B);
	test_fresh(0, 1, VA_B);
	test_fresh(0, 2, VA_B);
	test_stale(0, 2, VA_A);
}

/* The tables above the page as well, unless only leaf entries have changed */
TEST_F(table, inv_non_leaf)
{
	struct iommu_cache_invalidate_info info =
		inv_addr(IOTLB, pasids[0], VA_B, SZ_4K, 2);
	const __u64 next = VA_B + SZ_4K;
	__u64 entry;

	test_cmd_bind_table(self->scope, translate());
	guest_map(&self->pt[0], VA_B, self->old_page);
	guest_map(&self->pt[0], next, self->old_page);
	test_stale(0, 0, VA_B);
	entry = guest_pt_entry(&self->pt[0], VA_B, 2);
	guest_write(&self->vmm, entry, 0);
	guest_map(&self->pt[0], VA_B, self->new_page);
	guest_map(&self->pt[0], next, self->new_page);
	test_stale(0, 0, next);

	info.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_LEAF;
	test_cmd_inv(self->scope, info);
	test_stale(0, 0, VA_B);
	test_stale(0, 0, next);
	/* By the tag of another address space */
	info.granu.addr_info.flags = IOMMU_INV_ADDR_FLAGS_ARCHID;
	info.granu.addr_info.archid = ASID(1);
	test_cmd_inv(self->scope, info);
	test_stale(0, 0, VA_B);
	info.granu.addr_info.archid = ASID(0);
	test_cmd_inv(self->scope, info);
	test_fresh(0, 0, VA_B);
	test_fresh(0, 0, next);
}

/* Where the top byte is ignored, what is cached is the same for all of them */
TEST_F(table, tagged_addresses)
{
	struct iommu_pasid_table_config cfg = translate();
	const __u64 tagged = VA_B | 0xa5ULL << 56;

	write_cd(&self->vmm, cd_gpa(self->cds, pasids[0]), &self->pt[0],
		 CD_VALID | CD_TBI0 | CD_ASID(ASID(0)));
	cfg.flags = IOMMU_PASID_TABLE_DEVTLB;
	test_cmd_bind_table(self->scope, cfg);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[1],
			 VA_A | 0xa5ULL << 56);

	make_stale(0, 0, VA_B);
	test_stale(0, 0, tagged);
	test_cmd_inv(self->scope, inv_addr(IOTLB, pasids[0], VA_B, SZ_4K, 1));
	test_fresh(0, 0, tagged);
	EXPECT_EQ(1, mock_stats(DEV(0)).iotlb_entries);
	guest_map(&self->pt[0], VA_B, self->old_page);
	test_fresh(0, 0, VA_B);
	test_cmd_inv(self->scope, inv_addr(IOTLB, pasids[0], VA_B, SZ_4K, 1));
	test_stale(0, 0, VA_B);

	/* The device does not know, and caches what it puts on the bus */
	test_stale(MOCK_DMA_ATS, 0, tagged);
	EXPECT_EQ(1, mock_stats(DEV(0)).devtlb_entries);
	guest_map(&self->pt[0], VA_B, self->new_page);
	test_cmd_inv(self->scope, inv_addr(IOTLB, pasids[0], VA_B, SZ_4K, 1));
	test_stale(MOCK_DMA_ATS, 0, tagged);
	test_fresh(MOCK_DMA_ATS, 0, VA_B);
	test_cmd_inv(self->scope, inv_addr(DEVTLB, pasids[0], tagged, SZ_4K, 1));
	test_fresh(MOCK_DMA_ATS, 0, tagged);
}

TEST_F(table, inv_without_pasid)
{
	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	guest_map(&self->pt0, VA_B, self->old_page);
	test_dma_read(DEV(0), NO_PASID, VA_B, self->old_page);
	guest_map(&self->pt0, VA_B, self->new_page);
	test_dma_read(DEV(0), NO_PASID, VA_B, self->old_page);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, pasids[0]));
	test_dma_read(DEV(0), NO_PASID, VA_B, self->old_page);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, NO_PASID));
	test_dma_read(DEV(0), NO_PASID, VA_B, self->new_page);
	test_stale(0, 1, VA_B);
}

TEST_F(table, inv_device_tlb)
{
	struct iommu_pasid_table_config cfg = translate();

	cfg.flags = IOMMU_PASID_TABLE_DEVTLB;
	test_cmd_bind_table(self->scope, cfg);
	make_all_stale(MOCK_DMA_ATS);
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	test_stale(MOCK_DMA_ATS, 0, VA_A);
	/* The device knows its PASIDs */
	test_cmd_inv(self->scope, inv_addr(DEVTLB, pasids[0], VA_A, SZ_4K, 1));
	test_fresh(MOCK_DMA_ATS, 0, VA_A);
	test_stale(MOCK_DMA_ATS, 0, VA_B);
	test_stale(MOCK_DMA_ATS, 1, VA_A);
	test_cmd_inv(self->scope, inv_pasid(DEVTLB, pasids[1]));
	test_fresh(MOCK_DMA_ATS, 1, VA_A);
	test_fresh(MOCK_DMA_ATS, 1, VA_B);
	test_stale(MOCK_DMA_ATS, 2, VA_A);
}

/* A guest that does not care for it does not get it */
TEST_F(table, no_device_tlb)
{
	test_cmd_bind_table(self->scope, translate());
	make_stale(MOCK_DMA_ATS, 0, VA_A);
	EXPECT_EQ(0, mock_stats(DEV(0)).devtlb_entries);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, pasids[0]));
	test_fresh(MOCK_DMA_ATS, 0, VA_A);
}

/* A context descriptor is cached as well */
TEST_F(table, inv_pasid_cache)
{
	int i;

	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	/* Each gets the page table of its neighbour, and another tag */
	for (i = 0; i < NR_SPACES; i++)
		write_cd(&self->vmm, cd_gpa(self->cds, pasids[i]),
			 &self->pt[(i + 1) % NR_SPACES],
			 CD_VALID | CD_ASID(0x70 + i));
	test_all_spaces(DEV(0));
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	test_all_spaces(DEV(0));

	test_cmd_inv(self->scope, inv_pasid(PASID_CACHE, pasids[1]));
	test_dma(DEV(0), pasids[0], VA_A, self->page[0]);
	test_dma(DEV(0), pasids[1], VA_A, self->page[2]);
	test_dma(DEV(0), pasids[2], VA_A, self->page[2]);
	test_cmd_inv(self->scope, inv_domain(PASID_CACHE));
	for (i = 0; i < NR_SPACES; i++)
		test_dma(DEV(0), pasids[i], VA_A,
			 self->page[(i + 1) % NR_SPACES]);
	test_dma(DEV(0), NO_PASID, VA_A, self->page0);

	/* One that becomes invalid serves on until then */
	guest_write(&self->vmm, cd_gpa(self->cds, pasids[0]), 0);
	test_dma(DEV(0), pasids[0], VA_A, self->page[1]);
	test_cmd_inv(self->scope, inv_pasid(PASID_CACHE | IOTLB, pasids[0]));
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[0], VA_A);
	/* And that of requests without PASID */
	guest_write(&self->vmm, self->cds, 0);
	test_dma(DEV(0), NO_PASID, VA_A, self->page0);
	test_cmd_inv(self->scope, inv_pasid(PASID_CACHE | IOTLB, NO_PASID));
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), NO_PASID, VA_A);
}

/* By tag: the descriptors that have it, and no others */
TEST_F(table, inv_pasid_cache_by_asid)
{
	struct iommu_cache_invalidate_info info =
		inv_pasid(PASID_CACHE, NO_PASID);
	int i;

	write_cd(&self->vmm, cd_gpa(self->cds, pasids[2]), &self->pt[2],
		 CD_VALID | CD_ASID(ASID(0)));
	test_cmd_bind_table(self->scope, translate());
	test_all_spaces(DEV(0));
	for (i = 0; i < NR_SPACES; i++)
		guest_write(&self->vmm, cd_gpa(self->cds, pasids[i]), 0);
	info.granu.pasid_info.flags = IOMMU_INV_PASID_FLAGS_ARCHID;
	info.granu.pasid_info.archid = ASID(0);
	test_cmd_inv(self->scope, info);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[0], VA_A);
	test_dma(DEV(0), pasids[1], VA_A, self->page[1]);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[2], VA_A);
	test_dma(DEV(0), NO_PASID, VA_A, self->page0);

	/* With a number as well, that is what selects it */
	info.granu.pasid_info.flags |= IOMMU_INV_PASID_FLAGS_PASID;
	info.granu.pasid_info.pasid = pasids[1];
	test_cmd_inv(self->scope, info);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasids[1], VA_A);
}

TEST_F(table, inv_batch)
{
	struct iommu_cache_invalidate_info entries[NR_SPACES];
	int i;

	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	for (i = 0; i < NR_SPACES; i++)
		entries[i] = inv_addr(IOTLB, pasids[i], VA_A, SZ_4K, 1);
	entries[2].granu.addr_info.granule_size = 0;
	test_err_inv_batch(EINVAL, 2, self->scope, entries, sizeof(*entries),
			   NR_SPACES);
	test_fresh(0, 0, VA_A);
	test_fresh(0, 1, VA_A);
	test_stale(0, 2, VA_A);
	entries[2].granu.addr_info.granule_size = SZ_4K;
	test_cmd_inv_batch(self->scope, entries, sizeof(*entries), NR_SPACES);
	test_fresh(0, 2, VA_A);
	test_stale(0, 2, VA_B);
}

TEST_F(table, inv_errors)
{
	struct iommu_cache_invalidate_info info;

	test_cmd_bind_table(self->scope, translate());
	make_all_stale(0);
	info = inv_pasid(IOTLB, pasids[0]);
	info.granu.pasid_info.flags = 0;
	test_err_inv(EINVAL, self->scope, info);
	test_err_inv(EINVAL, self->scope, inv_domain(DEVTLB));
	test_err_inv(EINVAL, self->scope, inv_addr(PASID_CACHE, pasids[0], VA_A,
						   SZ_4K, 1));
	test_err_inv(EINVAL, self->scope, inv_pasid(IOTLB, 1U << 20));
	test_cmd_inject(DEV(0), MOCK_INJECT_INV_TIMEOUT, 1);
	test_err_inv(ETIMEDOUT, self->scope, inv_domain(IOTLB));
	test_cmd_inject(DEV(0), MOCK_INJECT_INV_ERROR, 1);
	test_err_inv(EIO, self->scope, inv_pasid(IOTLB, pasids[0]));
	test_stale(0, 0, VA_A);
	test_stale(0, 2, VA_B);
}

/* ---------------------------------------------------------------------
 * Faults
 */
#define SUCCESS		IOMMU_PAGE_RESP_SUCCESS
#define INVALID		IOMMU_PAGE_RESP_INVALID
#define LAST		IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE
#define PERM_R		IOMMU_FAULT_PERM_READ
#define PERM_W		IOMMU_FAULT_PERM_WRITE

/* The PASIDs of the guest are those on the bus */
TEST_F(table, page_requests)
{
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI,
		.pasid = pasids[2],
		.addr = VA_B,
	};
	struct iommu_fault record;
	__u64 want = fresh_value();
	int i;

	test_cmd_bind_table(self->scope, translate());
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);
	for (i = 0; i < NR_SPACES; i++)
		test_cmd_page_request(DEV(0), 0, pasids[i], 3, VA_B, 1, PERM_R);
	test_cmd_page_request(DEV(0), 0, NO_PASID, 3, VA_B, 1, PERM_W);
	for (i = 0; i < NR_SPACES; i++)
		test_fault_page_request(self->fault, LAST, pasids[i], 3, VA_B,
					PERM_R);
	test_fault_page_request(self->fault, LAST, NO_PASID, 3, VA_B, PERM_W);
	test_err_respond(ENOENT, self->fault, 0, 12, 3, SUCCESS);
	test_err_respond(ENOENT, self->fault, IOMMU_PAGE_RESP_GPASID, pasids[0],
			 3, SUCCESS);
	for (i = NR_SPACES - 1; i >= 0; i--) {
		test_cmd_respond(self->fault, 0, pasids[i], 3, i % 3);
		test_device_gets(i % 3, DEV(0), pasids[i], 3);
	}
	test_cmd_respond(self->fault, 0, NO_PASID, 3, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), NO_PASID, 3);

	/* One that a transaction waits for */
	guest_write(&self->vmm, self->new_page, want);
	ASSERT_EQ(0, dma_thread_start(&dma));
	test_cmd_fault_read(self->fault, &record);
	EXPECT_EQ(pasids[2], record.prm.pasid);
	EXPECT_EQ(VA_B, record.prm.addr);
	guest_map(&self->pt[2], VA_B, self->new_page);
	test_cmd_respond(self->fault, 0, pasids[2], record.prm.grpid, SUCCESS);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_OK, dma.status);
	EXPECT_EQ(want, dma.value);

	/* And one that the end of the table answers */
	test_cmd_page_request(DEV(0), 0, pasids[0], 4, VA_B, 1, PERM_R);
	test_cmd_page_request(DEV(0), 0, NO_PASID, 5, VA_B, 1, PERM_R);
	test_fault_page_request(self->fault, LAST, pasids[0], 4, VA_B, PERM_R);
	test_cmd_unbind_table(self->scope);
	test_device_gets(INVALID, DEV(0), pasids[0], 4);
	test_device_gets(INVALID, DEV(0), NO_PASID, 5);
	test_fault_none(self->fault);
}

#define EV_ADDR		IOMMU_FAULT_UNRECOV_ADDR_VALID
#define EV_FETCH	IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID
#define EV_PASID	IOMMU_FAULT_UNRECOV_PASID_VALID

/* A read by PASID @_pasid fails like this; with a @_fetch address or without */
#define unrecoverable(_reason, _pasid, _va, _fetch)			\
	({								\
		struct iommu_fault _rec;				\
		__u64 _got, _at = _fetch;				\
									\
		EXPECT_EQ(MOCK_DMA_ABORT_S1,				\
			  mock_dma_read(DEV(0), 0, _pasid, _va, &_got)); \
		test_cmd_fault_read(self->fault, &_rec);		\
		EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, _rec.type);		\
		EXPECT_EQ(_reason, _rec.event.reason);			\
		EXPECT_EQ(EV_ADDR | (_at ? EV_FETCH : 0) |		\
			  ((_pasid) == NO_PASID ? 0 : EV_PASID),	\
			  _rec.event.flags);				\
		EXPECT_EQ((_pasid) == NO_PASID ? 0 : (_pasid),		\
			  _rec.event.pasid);				\
		EXPECT_EQ(PERM_R, _rec.event.perm);			\
		EXPECT_EQ(_va, _rec.event.addr);			\
		EXPECT_EQ(_at, _rec.event.fetch_addr);			\
	})

TEST_F(table, unrecoverable)
{
	const __u64 entry = guest_pt_entry(&self->pt[0], VA_B, 1);
	struct iommu_pasid_table_config cfg = translate();
	struct guest_pt outside = { .root = GUEST_RAM - SZ_4K };

	test_cmd_bind_table(self->scope, cfg);
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);

	/* Of the table: no such number, not valid, malformed */
	unrecoverable(IOMMU_FAULT_REASON_PASID_INVALID, 1 << PASID_BITS, VA_A,
		      0);
	unrecoverable(IOMMU_FAULT_REASON_PASID_INVALID, 5, VA_A,
		      cd_gpa(self->cds, 5));
	write_cd(&self->vmm, cd_gpa(self->cds, 5), &self->pt[0],
		 CD_VALID & ~CD_AA64);
	unrecoverable(IOMMU_FAULT_REASON_BAD_PASID_ENTRY, 5, VA_A,
		      cd_gpa(self->cds, 5));
	/* Of the page table: it is not there, an entry is not, or forbids it */
	write_cd(&self->vmm, cd_gpa(self->cds, 5), &outside, CD_VALID);
	unrecoverable(IOMMU_FAULT_REASON_WALK_EABT, 5, VA_A,
		      outside.root + (VA_A >> 39) * 8);
	unrecoverable(IOMMU_FAULT_REASON_PTE_FETCH, pasids[0], VA_B, entry);
	guest_map_level(&self->pt[0], VA_B, self->page[0], ARM_RW & ~ARM_AF, 1);
	unrecoverable(IOMMU_FAULT_REASON_ACCESS, pasids[0], VA_B, entry);
	guest_map_level(&self->pt[0], VA_B, self->page[0], ARM_RW & ~ARM_EL0,
			1);
	unrecoverable(IOMMU_FAULT_REASON_PERMISSION, pasids[0], VA_B, entry);
	/* Of no table */
	unrecoverable(IOMMU_FAULT_REASON_OOR_ADDRESS, pasids[0], 1ULL << 48, 0);
	unrecoverable(IOMMU_FAULT_REASON_OOR_ADDRESS, pasids[0], -SZ_4K, 0);
	unrecoverable(IOMMU_FAULT_REASON_PTE_FETCH, NO_PASID, VA_B,
		      guest_pt_entry(&self->pt0, VA_B, 4));

	/* Requests without PASID that nothing translates */
	cfg.vendor.smmuv3.s1dss = IOMMU_PASID_SMMUV3_S1DSS_TERMINATE;
	test_cmd_bind_table(self->scope, cfg);
	unrecoverable(IOMMU_FAULT_REASON_PASID_INVALID, NO_PASID, VA_A, 0);
	/* A table that is not in guest memory */
	cfg.base_ptr = GUEST_RAM - SZ_4K;
	test_cmd_bind_table(self->scope, cfg);
	unrecoverable(IOMMU_FAULT_REASON_PASID_FETCH, pasids[0], VA_A,
		      cd_gpa(cfg.base_ptr, pasids[0]));
	test_fault_none(self->fault);

	/* With "abort" the guest has asked for what it gets */
	test_cmd_bind_table(self->scope,
			    table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0));
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, VA_A);
	test_fault_none(self->fault);
}

TEST_HARNESS_MAIN
