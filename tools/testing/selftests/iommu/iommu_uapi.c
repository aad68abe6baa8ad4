// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: features, PASIDs, guest page tables, invalidation
 *
 * Payload sizes are the subject of iommu_uapi_size.c, page requests and faults
 * of iommu_uapi_fault.c, guest PASID tables of iommu_uapi_table.c, lifetimes of
 * iommu_uapi_life.c.
 */
#include <linux/iommufd.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

/* Guest virtual addresses, far from each other and from all guest memory */
#define VA_A		0x7f1234567000ULL
#define VA_B		0x00c0ffeed000ULL
#define VA_UNMAPPED	0x100200300000ULL

#define IOTLB		IOMMU_CACHE_INV_TYPE_IOTLB
#define DEVTLB		IOMMU_CACHE_INV_TYPE_DEV_IOTLB
#define PASID_CACHE	IOMMU_CACHE_INV_TYPE_PASID

#define DEV(n)		(self->vmm.dev[n])

static void params_default(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
}

/* ---------------------------------------------------------------------
 * What the kernel tells of itself
 */
FIXTURE(features)
{
	struct vmm vmm;
};

FIXTURE_SETUP(features)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
}

FIXTURE_TEARDOWN(features)
{
	vmm_close(&self->vmm);
	params_restore();
}

#define FEAT_ALL	(IOMMU_NESTING_FEAT_SYSWIDE_PASID |		\
			 IOMMU_NESTING_FEAT_BIND_PGTBL |		\
			 IOMMU_NESTING_FEAT_BIND_PASID_TABLE |		\
			 IOMMU_NESTING_FEAT_CACHE_INVLD |		\
			 IOMMU_NESTING_FEAT_PAGE_REQUEST)
/* The two kinds of bind exclude each other, and PASID tables are the guest's */
#define FEAT_PGTBL	(FEAT_ALL & ~IOMMU_NESTING_FEAT_BIND_PASID_TABLE)
#define FEAT_PASID_TABLE (FEAT_ALL & ~(IOMMU_NESTING_FEAT_BIND_PGTBL |	\
				       IOMMU_NESTING_FEAT_SYSWIDE_PASID))

static const struct {
	__u32 size;
	__u32 min_size;
	__u64 flags;
	__u64 form_flags[2];
} known_payloads[IOMMU_PAYLOAD_NR] = {
	[IOMMU_PAYLOAD_PASID_REQUEST] = {
		sizeof(struct iommu_pasid_request),
		offsetofend(struct iommu_pasid_request, max),
	},
	[IOMMU_PAYLOAD_BIND_PGTBL] = {
		sizeof(struct iommu_gpasid_bind_data),
		offsetofend(struct iommu_gpasid_bind_data, gpasid),
		IOMMU_SVA_GPASID_VAL | IOMMU_SVA_NO_PASID,
		{ IOMMU_SVA_VTD_GPASID_SRE | IOMMU_SVA_VTD_GPASID_EAFE |
		  IOMMU_SVA_VTD_GPASID_WPE },
	},
	[IOMMU_PAYLOAD_BIND_PASID_TABLE] = {
		sizeof(struct iommu_pasid_table_config),
		offsetofend(struct iommu_pasid_table_config, padding),
		IOMMU_PASID_TABLE_DEVTLB,
	},
	[IOMMU_PAYLOAD_CACHE_INVALIDATE] = {
		sizeof(struct iommu_cache_invalidate_info),
		offsetof(struct iommu_cache_invalidate_info, granu),
		0,
		{ IOMMU_INV_PASID_FLAGS_PASID | IOMMU_INV_PASID_FLAGS_ARCHID |
		  IOMMU_INV_PASID_FLAGS_GPASID | IOMMU_INV_PASID_FLAGS_NO_PASID,
		  IOMMU_INV_ADDR_FLAGS_PASID | IOMMU_INV_ADDR_FLAGS_ARCHID |
		  IOMMU_INV_ADDR_FLAGS_LEAF | IOMMU_INV_ADDR_FLAGS_GPASID |
		  IOMMU_INV_ADDR_FLAGS_NO_PASID },
	},
	[IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH] = {
		sizeof(struct iommu_cache_invalidate_batch),
		sizeof(struct iommu_cache_invalidate_batch),
	},
	[IOMMU_PAYLOAD_PAGE_RESPONSE] = {
		sizeof(struct iommu_page_response),
		sizeof(struct iommu_page_response),
		IOMMU_PAGE_RESP_PASID_VALID | IOMMU_PAGE_RESP_GPASID,
	},
	[IOMMU_PAYLOAD_NESTING_INFO] = {
		sizeof(struct iommu_nesting_info),
		offsetof(struct iommu_nesting_info, vendor),
	},
};

/* All that a VMM decides on is what this header says */
static void check_info(struct __test_metadata *_metadata,
		       const struct iommu_nesting_info *info, __u32 features)
{
	unsigned int i;

	EXPECT_EQ(sizeof(*info), info->argsz);
	EXPECT_EQ(0, info->flags);
	EXPECT_EQ(features, info->features);
	EXPECT_EQ(MOCK_PASID_BITS, info->pasid_bits);
	for (i = 0; i < ARRAY_SIZE(info->padding); i++)
		EXPECT_EQ(0, info->padding[i]);
	if (features & IOMMU_NESTING_FEAT_CACHE_INVLD) {
		EXPECT_EQ(IOTLB | DEVTLB | PASID_CACHE, info->caches);
		EXPECT_EQ(1 << IOMMU_INV_GRANU_DOMAIN |
			  1 << IOMMU_INV_GRANU_PASID |
			  1 << IOMMU_INV_GRANU_ADDR, info->granularities);
	} else {
		EXPECT_EQ(0, info->caches);
		EXPECT_EQ(0, info->granularities);
	}

	ASSERT_EQ(IOMMU_PAYLOAD_NR, info->nr_payloads);
	for (i = 0; i < IOMMU_PAYLOAD_NR; i++) {
		const struct iommu_payload_info *payload = &info->payloads[i];

		EXPECT_EQ(i, payload->id);
		EXPECT_EQ(known_payloads[i].size, payload->size);
		EXPECT_EQ(known_payloads[i].min_size, payload->min_size);
		EXPECT_EQ(IOMMU_UAPI_VERSION_1, payload->version);
		EXPECT_EQ(known_payloads[i].flags, payload->flags);
		EXPECT_EQ(known_payloads[i].form_flags[0],
			  payload->form_flags[0]);
		EXPECT_EQ(known_payloads[i].form_flags[1],
			  payload->form_flags[1]);
	}
}

TEST_F(features, page_table_style)
{
	struct iommu_nesting_info info = {}, of_device = {
		.argsz = sizeof(of_device),
	};

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container, &info));
	check_info(_metadata, &info, FEAT_PGTBL);
	EXPECT_EQ(IOMMU_PASID_FORMAT_INTEL_VTD, info.format);
	EXPECT_EQ(57, info.addr_width);
	EXPECT_EQ(IOMMU_NESTING_INFO_VTD_VALID, info.vendor.vtd.flags);
	EXPECT_NE(0, info.vendor.vtd.cap);
	EXPECT_NE(0, info.vendor.vtd.ecap);

	/* One device, so the device's answer is the container's */
	ASSERT_DONE(_test_cmd_get_device_info(DEV(0), &of_device,
					      sizeof(of_device)));
	EXPECT_EQ(0, memcmp(&info, &of_device, sizeof(info)));
}

TEST_F(features, pasid_table_style)
{
	struct iommu_nesting_info info = {};

	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PASID_TABLE));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container, &info));
	check_info(_metadata, &info, FEAT_PASID_TABLE);
	EXPECT_EQ(IOMMU_PASID_FORMAT_ARM_SMMUV3, info.format);
	EXPECT_EQ(48, info.addr_width);
	EXPECT_EQ(IOMMU_NESTING_INFO_SMMUV3_VALID, info.vendor.smmuv3.flags);
	EXPECT_NE(0, info.vendor.smmuv3.idr[0]);
}

/* A container has what all its devices have, whichever joined first */
TEST_F(features, container_of_unlike_devices)
{
	struct iommu_nesting_info info = {}, of_device = {
		.argsz = sizeof(of_device),
	};

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"),
			       IOMMU_NESTING_FEAT_PAGE_REQUEST));
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container, &info));
	EXPECT_EQ(FEAT_PGTBL & ~IOMMU_NESTING_FEAT_PAGE_REQUEST, info.features);
	/* Their registers differ, so there are none to speak of */
	EXPECT_EQ(0, info.vendor.vtd.flags);
	EXPECT_EQ(0, info.vendor.vtd.cap);

	ASSERT_DONE(_test_cmd_get_device_info(DEV(0), &of_device,
					      sizeof(of_device)));
	EXPECT_EQ(FEAT_PGTBL, of_device.features);
	EXPECT_EQ(IOMMU_NESTING_INFO_VTD_VALID, of_device.vendor.vtd.flags);
	ASSERT_DONE(_test_cmd_get_device_info(DEV(1), &of_device,
					      sizeof(of_device)));
	EXPECT_EQ(FEAT_PGTBL & ~IOMMU_NESTING_FEAT_PAGE_REQUEST,
		  of_device.features);
}

/* With two formats there is nothing that a container could bind */
TEST_F(features, container_of_two_styles)
{
	struct iommu_nesting_info info;
	struct guest_pt pt;

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PASID_TABLE));
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	EXPECT_ERRNO(ENOENT, _test_cmd_get_nesting_cap(self->vmm.container,
						       &info));
	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 4);
	test_err_bind(EOPNOTSUPP, container_scope(&self->vmm), &pt, NO_PASID);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	/* Each by itself is as good as ever */
	test_cmd_bind(device_scope(&self->vmm, 0), &pt, NO_PASID);
}

/* Whether a feature can be set or got is told without doing it */
TEST_F(features, probe)
{
	struct {
		__u32 feature;
		__u32 direction;
		bool pasid_table;
	} features[] = {
		{ VFIO_DEVICE_FEATURE_NESTING_INFO, VFIO_DEVICE_FEATURE_GET },
		{ VFIO_DEVICE_FEATURE_BIND_PGTBL, VFIO_DEVICE_FEATURE_SET },
		{ VFIO_DEVICE_FEATURE_UNBIND_PGTBL, VFIO_DEVICE_FEATURE_SET },
		{ VFIO_DEVICE_FEATURE_BIND_PASID_TABLE,
		  VFIO_DEVICE_FEATURE_SET, true },
		{ VFIO_DEVICE_FEATURE_UNBIND_PASID_TABLE,
		  VFIO_DEVICE_FEATURE_SET, true },
		{ VFIO_DEVICE_FEATURE_CACHE_INVALIDATE,
		  VFIO_DEVICE_FEATURE_SET },
		{ VFIO_DEVICE_FEATURE_CACHE_INVALIDATE_BATCH,
		  VFIO_DEVICE_FEATURE_SET },
		{ VFIO_DEVICE_FEATURE_NESTING_FAULT, VFIO_DEVICE_FEATURE_GET },
	};
	struct wrapper probe = { .argsz = sizeof(probe) };
	unsigned int i;

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		probe.flags = VFIO_DEVICE_FEATURE_PROBE | features[i].feature;
		if (features[i].pasid_table) {
			EXPECT_ERRNO(ENOTTY, ioctl(DEV(0), VFIO_DEVICE_FEATURE,
						   &probe));
			continue;
		}
		EXPECT_EQ(0, ioctl(DEV(0), VFIO_DEVICE_FEATURE, &probe));
		probe.flags |= features[i].direction;
		EXPECT_EQ(0, ioctl(DEV(0), VFIO_DEVICE_FEATURE, &probe));
		probe.flags ^= VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
		EXPECT_ERRNO(EINVAL, ioctl(DEV(0), VFIO_DEVICE_FEATURE,
					   &probe));
	}
	/* Nothing has come of it */
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	/* The block's end */
	probe.flags = VFIO_DEVICE_FEATURE_PROBE |
		      (VFIO_DEVICE_FEATURE_NESTING_FAULT + 1);
	EXPECT_ERRNO(ENOTTY, ioctl(DEV(0), VFIO_DEVICE_FEATURE, &probe));
}

/* Devices of one group cannot be bound, and are said not to be */
TEST_F(features, shared_group)
{
	const __u32 bind = IOMMU_NESTING_FEAT_BIND_PGTBL |
			   IOMMU_NESTING_FEAT_BIND_PASID_TABLE |
			   IOMMU_NESTING_FEAT_PAGE_REQUEST;
	struct iommu_nesting_info info = { .argsz = sizeof(info) };

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x9));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container, &info));
	EXPECT_EQ(FEAT_PGTBL & ~bind, info.features);
	ASSERT_DONE(_test_cmd_get_device_info(DEV(3), &info, sizeof(info)));
	EXPECT_EQ(FEAT_PGTBL & ~bind, info.features);
	ASSERT_DONE(_test_cmd_get_device_info(DEV(0), &info, sizeof(info)));
	EXPECT_EQ(FEAT_PGTBL, info.features);
}

/* Other capabilities are there, and the chain stays well-formed when cut */
TEST_F(features, get_info)
{
	__u8 buf[4096] __attribute__((aligned(8))) = {};
	struct vfio_iommu_type1_info *info = (void *)buf;
	bool seen[VFIO_IOMMU_TYPE1_INFO_CAP_NESTING + 1] = {};
	__u32 next, full;

	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	info->argsz = sizeof(*info);
	ASSERT_DONE(ioctl(self->vmm.container, VFIO_IOMMU_GET_INFO, info));
	full = info->argsz;
	EXPECT_LE(sizeof(*info) + sizeof(struct iommu_nesting_info), full);
	EXPECT_EQ(0, info->cap_offset);

	info->argsz = full;
	ASSERT_DONE(ioctl(self->vmm.container, VFIO_IOMMU_GET_INFO, info));
	ASSERT_EQ(VFIO_IOMMU_INFO_CAPS, info->flags & VFIO_IOMMU_INFO_CAPS);
	for (next = info->cap_offset; next;) {
		struct vfio_info_cap_header *cap = (void *)(buf + next);

		ASSERT_LE(next + sizeof(*cap), full);
		EXPECT_EQ(0, next % 8);
		if (cap->id < ARRAY_SIZE(seen)) {
			EXPECT_FALSE(seen[cap->id]);
			seen[cap->id] = true;
		}
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_NESTING) {
			struct vfio_iommu_type1_info_cap_nesting *nesting =
				(void *)cap;

			EXPECT_EQ(1, cap->version);
			EXPECT_EQ(0, nesting->flags);
			EXPECT_EQ(0, nesting->padding);
			ASSERT_LE(next + sizeof(*nesting) +
				  sizeof(struct iommu_nesting_info), full);
		}
		next = cap->next;
	}
	EXPECT_TRUE(seen[VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE]);
	EXPECT_TRUE(seen[VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL]);
	EXPECT_TRUE(seen[VFIO_IOMMU_TYPE1_INFO_CAP_NESTING]);
}

/* Before it has a group, a container can do nothing */
TEST_F(features, container_without_group)
{
	struct scope scope = {};
	struct guest_pt pt;
	__u32 done;

	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 4);
	scope.fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, scope.fd);
	test_err_pasid_alloc(EINVAL, scope.fd, 1, 100);
	test_err_pasid_free(EINVAL, scope.fd, 1, 100);
	test_err_bind(EINVAL, scope, &pt, NO_PASID);
	test_err_unbind(EINVAL, scope, NO_PASID);
	test_err_inv(EINVAL, scope, inv_domain(IOTLB));
	EXPECT_ERRNO(EINVAL, _test_cmd_inv_batch(scope, NULL, 56, 0, &done));
	close(scope.fd);
}

/* ---------------------------------------------------------------------
 * Hardware as it was loaded: with the parameters of the kernel's command line
 */
FIXTURE(loaded)
{
	struct vmm vmm;
	__u32 features;
};

#define CMDLINE_LACK	"iommu_uapi_mock.lack="

FIXTURE_SETUP(loaded)
{
	long lack = param_get(PARAM_MOCK("lack"));
	long style = param_get(PARAM_MOCK("style"));
	char cmdline[4096] = {};
	const char *told;
	int fd;

	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_LE(0, lack);
	ASSERT_LE(0, style);
	fd = open("/proc/cmdline", O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, read(fd, cmdline, sizeof(cmdline) - 1));
	close(fd);
	told = strstr(cmdline, CMDLINE_LACK);
	if (told)
		ASSERT_EQ(strtol(told + strlen(CMDLINE_LACK), NULL, 0), lack);
	self->features = (style == MOCK_STYLE_PASID_TABLE ? FEAT_PASID_TABLE :
							    FEAT_PGTBL) & ~lack;
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
}

FIXTURE_TEARDOWN(loaded)
{
	vmm_close(&self->vmm);
}

TEST_F(loaded, features)
{
	struct iommu_pasid_table_config table =
		table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0);
	struct scope scope = container_scope(&self->vmm);
	struct iommu_nesting_info info = {};
	struct guest_pt pt;
	__u64 page;

	if (!self->features) {
		EXPECT_ERRNO(ENOENT,
			     _test_cmd_get_nesting_cap(self->vmm.container,
						       &info));
	} else {
		ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container,
						      &info));
		check_info(_metadata, &info, self->features);
	}

	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 4);
	page = guest_page(&self->vmm);
	guest_map(&pt, VA_A, page);
	if (self->features & IOMMU_NESTING_FEAT_BIND_PGTBL) {
		test_cmd_bind(scope, &pt, NO_PASID);
		test_dma(DEV(0), NO_PASID, VA_A, page);
	} else {
		test_err_bind(EOPNOTSUPP, scope, &pt, NO_PASID);
		test_dma(DEV(0), NO_PASID, page, page);
	}
	if (self->features & IOMMU_NESTING_FEAT_BIND_PASID_TABLE) {
		test_cmd_bind_table(scope, table);
		test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, page);
	} else {
		test_err_bind_table(EOPNOTSUPP, scope, table);
	}
}

/* ---------------------------------------------------------------------
 * Features that the hardware lacks
 */
FIXTURE(lack)
{
	struct vmm vmm;
	struct scope scope;
	struct guest_pt pt;
	__u64 page;
};

FIXTURE_VARIANT(lack)
{
	__u32 features;
	bool pasid_table_style;
};

FIXTURE_VARIANT_ADD(lack, syswide_pasid)
{
	.features = IOMMU_NESTING_FEAT_SYSWIDE_PASID,
};

FIXTURE_VARIANT_ADD(lack, bind_pgtbl)
{
	.features = IOMMU_NESTING_FEAT_BIND_PGTBL,
};

FIXTURE_VARIANT_ADD(lack, bind_pasid_table)
{
	.features = IOMMU_NESTING_FEAT_BIND_PASID_TABLE,
	.pasid_table_style = true,
};

FIXTURE_VARIANT_ADD(lack, cache_invld)
{
	.features = IOMMU_NESTING_FEAT_CACHE_INVLD,
};

FIXTURE_VARIANT_ADD(lack, page_request)
{
	.features = IOMMU_NESTING_FEAT_PAGE_REQUEST,
};

FIXTURE_VARIANT_ADD(lack, all)
{
	.features = FEAT_ALL,
};

FIXTURE_VARIANT_ADD(lack, all_pasid_table_style)
{
	.features = FEAT_ALL,
	.pasid_table_style = true,
};

FIXTURE_SETUP(lack)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"),
			       variant->pasid_table_style));
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), variant->features));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	self->scope = container_scope(&self->vmm);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, self->page);
}

FIXTURE_TEARDOWN(lack)
{
	vmm_close(&self->vmm);
	params_restore();
}

/* It is told beforehand, and what is asked for nevertheless is refused */
TEST_F(lack, refused)
{
	__u32 has = (variant->pasid_table_style ? FEAT_PASID_TABLE :
						  FEAT_PGTBL) &
		    ~variant->features;
	struct iommu_pasid_table_config table =
		table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0);
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	struct scope dev = device_scope(&self->vmm, 0);
	__u32 pasid;

	if (has) {
		ASSERT_DONE(_test_cmd_get_nesting_cap(self->vmm.container,
						      &info));
		check_info(_metadata, &info, has);
	} else {
		/* Nothing to tell of, but that is not an error of GET_INFO */
		EXPECT_ERRNO(ENOENT, _test_cmd_get_nesting_cap(self->vmm.container,
							       &info));
		EXPECT_ERRNO(EOPNOTSUPP,
			     _test_cmd_get_device_info(DEV(0), &info,
						       sizeof(info)));
		EXPECT_ERRNO(EOPNOTSUPP, fault_open(DEV(0)));
	}

	if (has & IOMMU_NESTING_FEAT_SYSWIDE_PASID)
		test_cmd_pasid_alloc(self->vmm.container, 1, 1000, &pasid);
	else
		test_err_pasid_alloc(EOPNOTSUPP, self->vmm.container, 1, 1000);

	if (has & IOMMU_NESTING_FEAT_BIND_PGTBL) {
		test_cmd_bind(self->scope, &self->pt, NO_PASID);
		test_dma(DEV(0), NO_PASID, VA_A, self->page);
		if (!(has & IOMMU_NESTING_FEAT_PAGE_REQUEST)) {
			/* The hardware knows where to send them: nowhere */
			test_cmd_page_request(DEV(0), 0, NO_PASID, 1, VA_A, 1,
					      IOMMU_FAULT_PERM_READ);
			test_device_gets(IOMMU_PAGE_RESP_INVALID, DEV(0),
					 NO_PASID, 1);
			test_dma_stopped_flags(MOCK_DMA_ABORT_S1, DEV(0),
					       MOCK_DMA_PRI, NO_PASID,
					       VA_UNMAPPED);
		}
	} else {
		test_err_bind(EOPNOTSUPP, self->scope, &self->pt, NO_PASID);
		test_err_bind(EOPNOTSUPP, dev, &self->pt, NO_PASID);
	}
	if (has & IOMMU_NESTING_FEAT_BIND_PASID_TABLE) {
		test_cmd_bind_table(self->scope, table);
	} else {
		test_err_bind_table(EOPNOTSUPP, self->scope, table);
		test_err_bind_table(EOPNOTSUPP, dev, table);
	}
	/* Where nothing is bound, nothing is cached */
	if (has & IOMMU_NESTING_FEAT_CACHE_INVLD ||
	    !mock_stats(DEV(0)).bonds) {
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		test_cmd_inv(dev, inv_domain(IOTLB));
	} else {
		test_err_inv(EOPNOTSUPP, self->scope, inv_domain(IOTLB));
		test_err_inv(EOPNOTSUPP, dev, inv_domain(IOTLB));
	}

	/* What cannot fail for compatibility does not find anything, no more */
	if (!mock_stats(DEV(0)).bonds) {
		test_err_unbind(ENOENT, self->scope, NO_PASID);
		test_err_unbind_table(ENOENT, self->scope);
		/* Stage 2 is what it always was */
		test_dma(DEV(0), NO_PASID, self->page, self->page);
	}
}

/* ---------------------------------------------------------------------
 * Containers of the other types are what they always were
 */
FIXTURE(other_type)
{
	struct vmm vmm;
};

FIXTURE_VARIANT(other_type)
{
	int type;
};

FIXTURE_VARIANT_ADD(other_type, type1)
{
	.type = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(other_type, type1v2)
{
	.type = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_SETUP(other_type)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, variant->type, 1));
}

FIXTURE_TEARDOWN(other_type)
{
	vmm_close(&self->vmm);
	params_restore();
}

TEST_F(other_type, has_nothing_new)
{
	struct iommu_pasid_table_config table =
		table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0);
	struct scope scope = container_scope(&self->vmm);
	struct scope dev = device_scope(&self->vmm, 0);
	struct wrapper *probe;
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	struct guest_pt pt;
	__u8 buf[128] __attribute__((aligned(8))) = {};
	__u64 page = guest_page(&self->vmm);
	__u32 done, feature;

	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 4);

	EXPECT_ERRNO(ENOENT, _test_cmd_get_nesting_cap(self->vmm.container,
						       &info));
	test_err_pasid_alloc(EOPNOTSUPP, scope.fd, 1, 100);
	test_err_pasid_free(EOPNOTSUPP, scope.fd, 0, UINT_MAX);
	test_err_bind(EOPNOTSUPP, scope, &pt, NO_PASID);
	test_err_unbind(EOPNOTSUPP, scope, NO_PASID);
	test_err_bind_table(EOPNOTSUPP, scope, table);
	test_err_unbind_table(EOPNOTSUPP, scope);
	test_err_inv(EOPNOTSUPP, scope, inv_domain(IOTLB));
	EXPECT_ERRNO(EOPNOTSUPP, _test_cmd_inv_batch(scope, NULL, 56, 0,
						     &done));

	test_err_bind(ENOTTY, dev, &pt, NO_PASID);
	test_err_unbind(ENOTTY, dev, NO_PASID);
	test_err_bind_table(ENOTTY, dev, table);
	test_err_unbind_table(ENOTTY, dev);
	test_err_inv(ENOTTY, dev, inv_domain(IOTLB));
	EXPECT_ERRNO(ENOTTY, _test_cmd_inv_batch(dev, NULL, 56, 0, &done));
	EXPECT_ERRNO(ENOTTY, _test_cmd_get_device_info(DEV(0), &info,
						       sizeof(info)));
	EXPECT_ERRNO(ENOTTY, fault_open(DEV(0)));
	probe = (struct wrapper *)buf;
	probe->argsz = sizeof(*probe);
	for (feature = VFIO_DEVICE_FEATURE_NESTING_INFO;
	     feature <= VFIO_DEVICE_FEATURE_NESTING_FAULT; feature++) {
		probe->flags = VFIO_DEVICE_FEATURE_PROBE | feature;
		EXPECT_ERRNO(ENOTTY, ioctl(DEV(0), VFIO_DEVICE_FEATURE, probe));
	}

	/* DMA as ever: guest-physical addresses, nothing by PASID */
	test_dma(DEV(0), NO_PASID, page, page);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), 1, page);
	ASSERT_DONE(vmm_unmap_ram(&self->vmm));
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), NO_PASID, page);
	ASSERT_DONE(vmm_map_ram(&self->vmm));
	test_dma(DEV(0), NO_PASID, page, page);
}

/* ---------------------------------------------------------------------
 * PASIDs, and who owns them
 */
FIXTURE(pasids)
{
	struct vmm vmm;
	/* A second container, with device 1 */
	struct vmm other;
	int container;
	struct scope scope;
	struct guest_pt pt;
	__u64 page;
};

FIXTURE_SETUP(pasids)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, vmm_init(&self->other));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 0));
	ASSERT_DONE(vmm_open(&self->other, VFIO_TYPE1_NESTING_IOMMU, 1 << 1));
	self->container = self->vmm.container;
	self->scope = container_scope(&self->vmm);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, self->page);
}

FIXTURE_TEARDOWN(pasids)
{
	vmm_close(&self->vmm);
	vmm_close(&self->other);
	params_restore();
}

TEST_F(pasids, one)
{
	__u32 pasid = 0;

	test_cmd_pasid_alloc(self->container, 77, 77, &pasid);
	EXPECT_EQ(77, pasid);
	test_err_pasid_alloc(ENOSPC, self->container, 77, 77);
	test_cmd_pasid_free(self->container, 77, 77);
	test_err_pasid_free(ENOENT, self->container, 77, 77);
	test_cmd_pasid_alloc(self->container, 77, 77, &pasid);
	EXPECT_EQ(77, pasid);
}

TEST_F(pasids, range)
{
	bool got[4] = {};
	unsigned int i;
	__u32 pasid;

	for (i = 0; i < ARRAY_SIZE(got); i++) {
		test_cmd_pasid_alloc(self->container, 500, 503, &pasid);
		ASSERT_LE(500, pasid);
		ASSERT_GE(503, pasid);
		EXPECT_FALSE(got[pasid - 500]);
		got[pasid - 500] = true;
	}
	test_err_pasid_alloc(ENOSPC, self->container, 500, 503);
	test_cmd_pasid_alloc(self->container, 500, 504, &pasid);
	EXPECT_EQ(504, pasid);

	/* Of a range to free, those that are owned */
	test_cmd_pasid_free(self->container, 502, 600);
	test_err_pasid_free(ENOENT, self->container, 502, 600);
	test_cmd_pasid_free(self->container, 0, 500);
	test_cmd_pasid_alloc(self->container, 500, 500, &pasid);
	test_err_pasid_alloc(ENOSPC, self->container, 501, 501);
}

TEST_F(pasids, bounds)
{
	const __u32 last = (1U << MOCK_PASID_BITS) - 1;
	__u32 pasid;

	test_err_pasid_alloc(EINVAL, self->container, 2, 1);
	test_err_pasid_alloc(EINVAL, self->container, UINT_MAX, 0);
	test_err_pasid_alloc(EINVAL, self->container, last + 1, last + 1);
	test_err_pasid_alloc(EINVAL, self->container, last + 1, UINT_MAX);
	test_err_pasid_alloc(EINVAL, self->container, UINT_MAX, UINT_MAX);
	test_err_pasid_free(EINVAL, self->container, 2, 1);
	test_err_pasid_free(EINVAL, self->container, UINT_MAX, 0);

	/* PASID 0 stands for none */
	test_err_pasid_alloc(ENOSPC, self->container, 0, 0);
	test_cmd_pasid_alloc(self->container, 0, UINT_MAX, &pasid);
	EXPECT_LT(0, pasid);
	/* The upper end is what the devices can send, not what is asked for */
	test_cmd_pasid_alloc(self->container, last, UINT_MAX, &pasid);
	EXPECT_EQ(last, pasid);
	test_err_pasid_alloc(ENOSPC, self->container, last, UINT_MAX);
	test_err_pasid_free(ENOENT, self->container, last + 1, UINT_MAX);
	test_cmd_pasid_free(self->container, last, last);
}

/* The time depends on what is owned, not on the range */
TEST_F(pasids, wide_ranges)
{
	__u64 begin = now_ms();
	unsigned int i;
	__u32 pasid;

	for (i = 0; i < 200; i++) {
		test_cmd_pasid_alloc(self->container, 0, UINT_MAX, &pasid);
		test_cmd_pasid_free(self->container, 0, UINT_MAX);
		test_err_pasid_free(ENOENT, self->container, 0, UINT_MAX);
		test_err_pasid_free(ENOENT, self->container, 1, UINT_MAX - 1);
	}
	/* Walking 2^32 numbers just once would take longer */
	EXPECT_GT(10000, now_ms() - begin);
}

TEST_F(pasids, owners)
{
	struct scope other = container_scope(&self->other);
	struct guest_pt pt;
	__u32 mine, theirs, pasid;
	__u64 page;

	test_cmd_pasid_alloc(self->container, 300, 301, &mine);
	test_cmd_pasid_alloc(other.fd, 300, 301, &theirs);
	EXPECT_NE(mine, theirs);
	test_err_pasid_alloc(ENOSPC, self->container, 300, 301);
	test_err_pasid_alloc(ENOSPC, other.fd, 300, 301);

	/* What belongs to the other is as good as not allocated */
	test_err_bind(ENOENT, self->scope, &self->pt, theirs);
	test_err_bind(ENOENT, device_scope(&self->vmm, 0), &self->pt, theirs);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	guest_pt_init(&pt, &self->other, GUEST_PT_VTD, 4);
	page = guest_page(&self->other);
	guest_map(&pt, VA_A, page);
	test_cmd_bind(other, &pt, theirs);
	test_err_unbind(ENOENT, self->scope, theirs);
	test_err_inv(ENOENT, self->scope, inv_pasid(IOTLB, theirs));
	test_err_inv(ENOENT, self->scope, inv_addr(IOTLB, theirs, VA_A, SZ_4K,
						   1));
	test_err_pasid_free(ENOENT, self->container, theirs, theirs);
	EXPECT_EQ(1, mock_stats(self->other.dev[1]).bonds);

	/* Nor is it freed when its neighbour goes with all it has */
	test_cmd_pasid_free(self->container, 0, UINT_MAX);
	EXPECT_EQ(1, mock_stats(self->other.dev[1]).bonds);
	test_cmd_pasid_alloc(self->container, 300, 301, &pasid);
	EXPECT_EQ(mine, pasid);
	test_err_pasid_alloc(ENOSPC, self->container, 300, 301);

	/* The end of a container is the end of what it owns */
	vmm_close_fds(&self->other);
	test_cmd_pasid_alloc(self->container, 300, 301, &pasid);
	EXPECT_EQ(theirs, pasid);
}

TEST_F(pasids, bind_only_own)
{
	__u32 pasid;

	/* Never allocated, zero, too large, freed */
	test_err_bind(ENOENT, self->scope, &self->pt, 50);
	test_err_bind(EINVAL, self->scope, &self->pt, 0);
	test_err_bind(EINVAL, self->scope, &self->pt, 1U << MOCK_PASID_BITS);
	test_cmd_pasid_alloc(self->container, 50, 50, &pasid);
	test_cmd_pasid_free(self->container, 50, 50);
	test_err_bind(ENOENT, self->scope, &self->pt, 50);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), 50, VA_A);
}

TEST_F(pasids, freeing_unbinds)
{
	__u32 bound[3], pasid;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bound); i++) {
		test_cmd_pasid_alloc(self->container, 60, 69, &bound[i]);
		test_cmd_bind(self->scope, &self->pt, bound[i]);
		test_dma(DEV(0), bound[i], VA_A, self->page);
	}
	test_cmd_pasid_free(self->container, bound[1], bound[1]);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), bound[1], VA_A);
	test_dma(DEV(0), bound[0], VA_A, self->page);
	test_dma(DEV(0), bound[2], VA_A, self->page);
	test_err_unbind(ENOENT, self->scope, bound[1]);

	test_cmd_pasid_free(self->container, 0, UINT_MAX);
	for (i = 0; i < ARRAY_SIZE(bound); i++)
		test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), bound[i], VA_A);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);

	/* Bound again, nothing of old translations is left */
	test_cmd_pasid_alloc(self->container, bound[0], bound[0], &pasid);
	guest_unmap(&self->pt, VA_A);
	test_cmd_bind(self->scope, &self->pt, pasid);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), pasid, VA_A);
}

/* The documented default, which all other tests run under */
TEST_F(pasids, default_quota)
{
	__u32 pasid, i;

	ASSERT_EQ(1000, param_get(PARAM_PASID_QUOTA));
	for (i = 0; i < 1000; i++)
		test_cmd_pasid_alloc(self->container, 1, 100000, &pasid);
	test_err_pasid_alloc(EDQUOT, self->container, 1, 100000);
	/* It is each container's own */
	test_cmd_pasid_alloc(self->other.container, 1, 100000, &pasid);
	test_cmd_pasid_free(self->container, 1, 100000);
	test_cmd_pasid_alloc(self->container, 1, 100000, &pasid);
}

TEST_F(pasids, small_quota)
{
	__u32 pasid, i;

	vmm_close_fds(&self->vmm);
	ASSERT_EQ(0, param_set(PARAM_PASID_QUOTA, 3));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 0));
	self->container = self->vmm.container;
	for (i = 0; i < 3; i++)
		test_cmd_pasid_alloc(self->container, 10 + i, 10 + i, &pasid);
	test_err_pasid_alloc(EDQUOT, self->container, 1, 100000);
	/* A request that is wrong or cannot be met anyhow counts for nothing */
	test_err_pasid_alloc(EINVAL, self->container, 2, 1);
	test_cmd_pasid_free(self->container, 11, 11);
	test_err_pasid_alloc(ENOSPC, self->container, 10, 10);
	test_cmd_pasid_alloc(self->container, 1, 100000, &pasid);
	test_err_pasid_alloc(EDQUOT, self->container, 1, 100000);
}

TEST_F_TIMEOUT(pasids, thousand_bound, 120)
{
	__u32 pasid[1000], i;

	for (i = 0; i < ARRAY_SIZE(pasid); i++) {
		test_cmd_pasid_alloc(self->container, 1, UINT_MAX, &pasid[i]);
		test_cmd_bind(self->scope, &self->pt, pasid[i]);
	}
	EXPECT_EQ(1000, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(1000, mock_stats(DEV(0)).domains);
	for (i = 0; i < ARRAY_SIZE(pasid); i += 37)
		test_dma(DEV(0), pasid[i], VA_A, self->page);
	for (i = 0; i < ARRAY_SIZE(pasid); i += 2)
		test_cmd_unbind(self->scope, pasid[i]);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), pasid[0], VA_A);
	test_dma(DEV(0), pasid[1], VA_A, self->page);
	EXPECT_EQ(500, mock_stats(DEV(0)).domains);
	/* The rest goes with the container */
	vmm_close_fds(&self->vmm);
	EXPECT_EQ(0, mock_stats(self->other.dev[1]).domains);
}

/* ---------------------------------------------------------------------
 * Guest page tables: bind, DMA, unbind
 */
FIXTURE(bind)
{
	struct vmm vmm;
	struct scope scope;
	struct guest_pt pt, pt2;
	__u64 page, page2;
	__u32 pasid, pasid2;
};

FIXTURE_VARIANT(bind)
{
	bool device;
};

FIXTURE_VARIANT_ADD(bind, container)
{
};

FIXTURE_VARIANT_ADD(bind, device)
{
	.device = true,
};

FIXTURE_SETUP(bind)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	self->scope = variant->device ? device_scope(&self->vmm, 0) :
					container_scope(&self->vmm);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	guest_pt_init(&self->pt2, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	self->page2 = guest_page(&self->vmm);
	/* The same address in two address spaces */
	guest_map(&self->pt, VA_A, self->page);
	guest_map(&self->pt2, VA_A, self->page2);
	test_cmd_pasid_alloc(self->vmm.container, 40, 1000, &self->pasid);
	test_cmd_pasid_alloc(self->vmm.container, 40, 1000, &self->pasid2);
}

FIXTURE_TEARDOWN(bind)
{
	vmm_close(&self->vmm);
	params_restore();
}

TEST_F(bind, dma_by_pasid)
{
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);
	test_dma(DEV(0), self->pasid, VA_A, self->page);

	/* Both stages: neither guest-physical nor host addresses get through */
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid, self->page);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid,
			 (uintptr_t)guest_ptr(&self->vmm, self->page));
	/* Other PASIDs have nothing, requests without one have stage 2 alone */
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid2, VA_A);
	test_dma(DEV(0), NO_PASID, self->page, self->page);
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), NO_PASID, VA_A);

	test_cmd_unbind(self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
}

TEST_F(bind, dma_without_pasid)
{
	test_dma(DEV(0), NO_PASID, self->page, self->page);
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	test_dma(DEV(0), NO_PASID, VA_A, self->page);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), NO_PASID, self->page);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);

	/* Beside one with PASID */
	test_cmd_bind(self->scope, &self->pt2, self->pasid);
	test_dma(DEV(0), NO_PASID, VA_A, self->page);
	test_dma(DEV(0), self->pasid, VA_A, self->page2);

	test_cmd_unbind(self->scope, NO_PASID);
	test_dma(DEV(0), NO_PASID, self->page, self->page);
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), NO_PASID, VA_A);
	test_dma(DEV(0), self->pasid, VA_A, self->page2);
}

/* Addresses that are neighbours for the device are none in guest memory */
TEST_F(bind, dma_across_pages)
{
	__u8 out[3 * SZ_4K], in[sizeof(out)];
	__u64 pages[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = guest_page(&self->vmm);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		guest_map(&self->pt, VA_B + i * SZ_4K,
			  pages[ARRAY_SIZE(pages) - 1 - i]);
	for (i = 0; i < sizeof(out); i++)
		out[i] = i % 251;
	test_cmd_bind(self->scope, &self->pt, self->pasid);

	ASSERT_EQ(MOCK_DMA_OK, mock_dma(DEV(0), MOCK_DMA_WRITE, self->pasid,
					VA_B + 100, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(guest_ptr(&self->vmm, pages[3] + 100), out,
			    SZ_4K - 100));
	EXPECT_EQ(0, memcmp(guest_ptr(&self->vmm, pages[2]),
			    out + SZ_4K - 100, SZ_4K));
	EXPECT_EQ(0, memcmp(guest_ptr(&self->vmm, pages[0]),
			    out + 3 * SZ_4K - 100, 100));
	ASSERT_EQ(MOCK_DMA_OK, mock_dma(DEV(0), 0, self->pasid, VA_B + 100, in,
					sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));

	/* It stops at the page that is missing */
	guest_unmap(&self->pt, VA_B + 3 * SZ_4K);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid));
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma(DEV(0), 0, self->pasid,
					      VA_B + 100, in, sizeof(in)));
}

TEST_F(bind, rebind)
{
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	test_err_bind(EBUSY, self->scope, &self->pt2, self->pasid);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(1, mock_stats(DEV(0)).domains);

	/* The same number for another address space: no cache remembers */
	test_cmd_unbind(self->scope, self->pasid);
	EXPECT_EQ(0, mock_stats(DEV(0)).iotlb_entries);
	test_cmd_bind(self->scope, &self->pt2, self->pasid);
	test_dma(DEV(0), self->pasid, VA_A, self->page2);
	test_cmd_unbind(self->scope, self->pasid);
	test_err_unbind(ENOENT, self->scope, self->pasid);

	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	test_err_bind(EBUSY, self->scope, &self->pt2, NO_PASID);
	test_dma(DEV(0), NO_PASID, VA_A, self->page);
	test_cmd_unbind(self->scope, NO_PASID);
	test_cmd_bind(self->scope, &self->pt2, NO_PASID);
	test_dma(DEV(0), NO_PASID, VA_A, self->page2);
}

/* What is bound through one scope can be ended through the other */
TEST_F(bind, scopes_meet)
{
	struct scope other = variant->device ? container_scope(&self->vmm) :
					       device_scope(&self->vmm, 0);

	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_err_bind(EBUSY, other, &self->pt2, self->pasid);
	test_cmd_inv(other, inv_pasid(IOTLB, self->pasid));
	test_cmd_unbind(other, self->pasid);
	test_err_unbind(ENOENT, self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
}

TEST_F(bind, hundred_rounds)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		test_cmd_bind(self->scope, &self->pt, self->pasid);
		test_cmd_bind(self->scope, &self->pt2, NO_PASID);
		test_dma_read(DEV(0), self->pasid, VA_A, self->page);
		test_dma_read(DEV(0), NO_PASID, VA_A, self->page2);
		test_cmd_unbind(self->scope, self->pasid);
		test_cmd_unbind(self->scope, NO_PASID);
	}
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	EXPECT_EQ(0, mock_stats(DEV(0)).iotlb_entries);
}

#define test_err_bind_changed(_errno, _field, _value)			\
	({								\
		struct iommu_gpasid_bind_data _data =			\
			bind_data(&self->pt, self->pasid);		\
									\
		_data._field = _value;					\
		test_err_bind_data(_errno, self->scope, &_data);	\
		_data = bind_data(&self->pt, NO_PASID);			\
		_data._field = _value;					\
		test_err_bind_data(_errno, self->scope, &_data);	\
	})

TEST_F(bind, errors)
{
	struct iommu_gpasid_bind_data data;
	unsigned int i;

	/* Of the format */
	test_err_bind_changed(EINVAL, format, 0);
	test_err_bind_changed(EINVAL, format, IOMMU_PASID_FORMAT_ARM_SMMUV3);
	test_err_bind_changed(EINVAL, format, 3);
	/* A format is a number, not a mask */
	test_err_bind_changed(EINVAL, format, UINT_MAX);
	test_err_bind_changed(EINVAL, addr_width, 0);
	test_err_bind_changed(EINVAL, addr_width, 39);
	test_err_bind_changed(EINVAL, addr_width, 47);
	test_err_bind_changed(EINVAL, addr_width, 64);
	test_err_bind_changed(EINVAL, addr_width, UINT_MAX);
	for (i = 0; i < 12; i++)
		test_err_bind_changed(EINVAL, gpgd, self->pt.root | 1ULL << i);
	/* Beyond what a guest-physical address can be */
	test_err_bind_changed(EINVAL, gpgd, 1ULL << 63);
	test_err_bind_changed(EINVAL, gpgd, 1ULL << 52);
	test_err_bind_changed(EINVAL, vendor.vtd.flags,
			      IOMMU_SVA_VTD_GPASID_PCD);
	test_err_bind_changed(EINVAL, vendor.vtd.flags,
			      IOMMU_SVA_VTD_GPASID_PWT);
	test_err_bind_changed(EINVAL, vendor.vtd.flags,
			      IOMMU_SVA_VTD_GPASID_EMTE);
	test_err_bind_changed(EINVAL, vendor.vtd.flags,
			      IOMMU_SVA_VTD_GPASID_CD);
	test_err_bind_changed(EINVAL, vendor.vtd.flags,
			      IOMMU_SVA_VTD_GPASID_WPE);
	test_err_bind_changed(EINVAL, vendor.vtd.pat, 0x070406);
	test_err_bind_changed(EINVAL, vendor.vtd.emt, 6);

	/* Of the names */
	data = bind_data(&self->pt, self->pasid);
	data.hpasid = 0;
	test_err_bind_data(EINVAL, self->scope, &data);
	data.hpasid = 1U << 20;
	test_err_bind_data(EINVAL, self->scope, &data);
	/* 64 bits of it count */
	data.hpasid = self->pasid | 1ULL << 32;
	test_err_bind_data(EINVAL, self->scope, &data);
	data.hpasid = self->pasid | 1ULL << 63;
	test_err_bind_data(EINVAL, self->scope, &data);
	data = bind_data(&self->pt, NO_PASID);
	data.hpasid = self->pasid;
	test_err_bind_data(EINVAL, self->scope, &data);
	data = bind_data(&self->pt, NO_PASID);
	data.flags |= IOMMU_SVA_GPASID_VAL;
	data.gpasid = 7;
	test_err_bind_data(EINVAL, self->scope, &data);
	data = bind_data(&self->pt, self->pasid);
	data.flags |= IOMMU_SVA_GPASID_VAL;
	data.gpasid = 1U << 20;
	test_err_bind_data(EINVAL, self->scope, &data);
	data.gpasid = 7 | 1ULL << 32;
	test_err_bind_data(EINVAL, self->scope, &data);
	/* With the number of an address space comes no PASID table */
	test_err_bind_table(EOPNOTSUPP, self->scope,
			    table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0));

	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_dma(DEV(0), NO_PASID, self->page, self->page);
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
}

TEST_F(bind, unbind_errors)
{
	struct iommu_gpasid_bind_data data;

	test_err_unbind(ENOENT, self->scope, self->pasid);
	test_err_unbind(ENOENT, self->scope, NO_PASID);
	test_err_unbind(EINVAL, self->scope, 0);
	test_err_unbind(EINVAL, self->scope, 1U << 20);
	test_err_unbind_gpasid(ENOENT, self->scope, 7);
	test_err_unbind_table(ENOENT, self->scope);

	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, 7);
	test_err_unbind(ENOENT, self->scope, self->pasid2);
	test_err_unbind(ENOENT, self->scope, NO_PASID);
	test_err_unbind_gpasid(ENOENT, self->scope, 8);
	test_err_unbind_gpasid(EINVAL, self->scope, 1U << 20);
	/* The two numbers of a binding must not belong to two */
	data = bind_data(&self->pt, self->pasid2);
	data.flags |= IOMMU_SVA_GPASID_VAL;
	data.gpasid = 7;
	test_err_unbind_data(ENOENT, self->scope, &data);
	data.hpasid = self->pasid;
	data.flags |= IOMMU_SVA_NO_PASID;
	test_err_unbind_data(EINVAL, self->scope, &data);
	data.flags = IOMMU_SVA_NO_PASID;
	test_err_unbind_data(EINVAL, self->scope, &data);
	EXPECT_EQ(1, mock_stats(DEV(0)).bonds);
	test_dma(DEV(0), self->pasid, VA_A, self->page);

	/* Both numbers of one are fine */
	data = bind_data(&self->pt, self->pasid);
	data.flags |= IOMMU_SVA_GPASID_VAL;
	data.gpasid = 7;
	test_cmd_unbind_data(self->scope, &data);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
}

/* Injected: whatever the hardware says, the caller hears, and nothing stays */
TEST_F(bind, hardware_error)
{
	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_ERROR, 2);
	test_err_bind(EIO, self->scope, &self->pt, self->pasid);
	test_err_bind_gpasid(EIO, self->scope, &self->pt, self->pasid, 9);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_err_unbind_gpasid(ENOENT, self->scope, 9);
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, 9);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
}

/* The same where the hardware refuses the domain */
TEST_F(bind, attach_error)
{
	test_cmd_inject(DEV(0), MOCK_INJECT_ATTACH_ERROR, 1);
	test_err_bind(EIO, self->scope, &self->pt, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_cmd_inject(DEV(0), MOCK_INJECT_ATTACH_ERROR, 1);
	test_err_bind(EIO, self->scope, &self->pt, NO_PASID);
	test_dma(DEV(0), NO_PASID, self->page, self->page);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);

	/* An unbind does not fail, and no device is left with the guest's table */
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	test_dma(DEV(0), NO_PASID, VA_A, self->page);
	test_cmd_inject(DEV(0), MOCK_INJECT_ATTACH_ERROR, 1);
	test_cmd_unbind(self->scope, NO_PASID);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, VA_A);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), NO_PASID, self->page);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
}

TEST_F(bind, guest_numbers)
{
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, 7);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	/* A guest has each number once */
	test_err_bind_gpasid(EBUSY, self->scope, &self->pt2, self->pasid2, 7);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid2, VA_A);
	/* The device sends the host's number, never the guest's */
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), 7, VA_A);
	test_err_unbind(ENOENT, self->scope, 7);
	test_cmd_unbind_gpasid(self->scope, 7);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	/* Free for another binding */
	test_cmd_bind_gpasid(self->scope, &self->pt2, self->pasid2, 7);
	test_dma(DEV(0), self->pasid2, VA_A, self->page2);
	/* Guest number 0 is one like others */
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, 0);
	test_cmd_unbind_gpasid(self->scope, 0);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_dma(DEV(0), self->pasid2, VA_A, self->page2);
}

/*
 * One binding's guest number is the other's host number: a bare number is the
 * host's, always, and only the flag makes it the guest's.
 */
TEST_F(bind, bare_numbers)
{
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, self->pasid2);
	test_cmd_bind_gpasid(self->scope, &self->pt2, self->pasid2,
			     self->pasid);
	test_cmd_unbind(self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_dma(DEV(0), self->pasid2, VA_A, self->page2);

	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, self->pasid2);
	test_cmd_unbind_gpasid(self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid2, VA_A);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
}

TEST_F(bind, permission)
{
	struct iommu_gpasid_bind_data data = bind_data(&self->pt2, self->pasid2);
	__u64 got;

	test_cmd_bind(self->scope, &self->pt, self->pasid);

	/* Read-only in the leaf, then in a table above it */
	guest_map_level(&self->pt, VA_B, self->page2, VTD_RO, 1);
	test_dma_read(DEV(0), self->pasid, VA_B, self->page2);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), 0, self->pasid,
						    VA_B, fresh_value()));
	guest_map_level(&self->pt, VA_B, self->page2, VTD_RW, 1);
	guest_write(&self->vmm, guest_pt_entry(&self->pt, VA_B, 3),
		    guest_read(&self->vmm, guest_pt_entry(&self->pt, VA_B, 3)) &
		    ~VTD_W);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid));
	test_dma_read(DEV(0), self->pasid, VA_B, self->page2);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), 0, self->pasid,
						    VA_B, fresh_value()));

	/* Supervisor pages are not for user requests */
	guest_map_level(&self->pt2, VA_B, self->page, VTD_P | VTD_W, 1);
	data.vendor.vtd.flags = IOMMU_SVA_VTD_GPASID_SRE |
				IOMMU_SVA_VTD_GPASID_WPE;
	test_cmd_bind_data(self->scope, &data);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid2, VA_B);
	test_dma_read_flags(DEV(0), MOCK_DMA_PRIV, self->pasid2, VA_B,
			    self->page);
	test_dma_write_flags(DEV(0), MOCK_DMA_PRIV, self->pasid2, VA_B,
			     self->page);
	/* Cached for the one, still not for the other */
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid2, VA_B);
	/* Write protection holds for supervisor requests only if asked for */
	guest_map_level(&self->pt2, VA_UNMAPPED, self->page, VTD_RO, 1);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), MOCK_DMA_PRIV,
						    self->pasid2, VA_UNMAPPED,
						    fresh_value()));
	test_cmd_unbind(self->scope, self->pasid2);
	data.vendor.vtd.flags = IOMMU_SVA_VTD_GPASID_SRE;
	test_cmd_bind_data(self->scope, &data);
	test_dma_write_flags(DEV(0), MOCK_DMA_PRIV, self->pasid2, VA_UNMAPPED,
			     self->page);
	/* Without SRE there are no supervisor requests */
	test_dma_stopped_flags(MOCK_DMA_ABORT_S1, DEV(0), MOCK_DMA_PRIV,
			       self->pasid, VA_A);

	/* Execute */
	guest_map_level(&self->pt, VA_UNMAPPED, self->page,
			VTD_RO | 1ULL << 63, 1);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_read(DEV(0), MOCK_DMA_EXEC,
						   self->pasid, VA_UNMAPPED,
						   &got));
	test_dma_read(DEV(0), self->pasid, VA_UNMAPPED, self->page);
	test_dma_read_flags(DEV(0), MOCK_DMA_EXEC, self->pasid, VA_A,
			    self->page);
}

/* Hardware keeps the guest's book: accessed on each level, dirty in the leaf */
TEST_F(bind, accessed_and_dirty)
{
	struct iommu_gpasid_bind_data data = bind_data(&self->pt2, self->pasid2);
	int level;

	test_cmd_bind(self->scope, &self->pt, self->pasid);
	for (level = 1; level <= 4; level++)
		EXPECT_EQ(0, guest_read(&self->vmm,
					guest_pt_entry(&self->pt, VA_A, level)) &
			     (VTD_A | VTD_D));
	test_dma_read(DEV(0), self->pasid, VA_A, self->page);
	for (level = 1; level <= 4; level++)
		EXPECT_EQ(VTD_A, guest_read(&self->vmm,
					    guest_pt_entry(&self->pt, VA_A,
							   level)) &
				 (VTD_A | (level == 1 ? VTD_D : 0)));
	/* From the cache, but the first write must be noted nevertheless */
	test_dma_write(DEV(0), self->pasid, VA_A, self->page);
	EXPECT_EQ(VTD_A | VTD_D,
		  guest_read(&self->vmm, guest_pt_entry(&self->pt, VA_A, 1)) &
		  (VTD_A | VTD_D));

	/* A write that is refused leaves no trace */
	guest_map_level(&self->pt, VA_B, self->page2, VTD_RO, 1);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), 0, self->pasid,
						    VA_B, fresh_value()));
	EXPECT_EQ(0, guest_read(&self->vmm, guest_pt_entry(&self->pt, VA_B, 1)) &
		     VTD_D);

	data.vendor.vtd.flags = IOMMU_SVA_VTD_GPASID_EAFE;
	test_cmd_bind_data(self->scope, &data);
	test_dma_read(DEV(0), self->pasid2, VA_A, self->page2);
	for (level = 1; level <= 4; level++)
		EXPECT_EQ(1ULL << 10,
			  guest_read(&self->vmm, guest_pt_entry(&self->pt2,
								VA_A, level)) &
			  1ULL << 10);
}

/* Stage 2 is the host's: what it takes away is gone at once */
TEST_F(bind, stage2_unmap)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.iova = GUEST_RAM + GUEST_RAM_SIZE,
		.size = SZ_4K,
	};

	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_cmd_bind(self->scope, &self->pt2, NO_PASID);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	test_dma(DEV(0), NO_PASID, VA_A, self->page2);
	ASSERT_LT(0, mock_stats(DEV(0)).iotlb_entries);

	ASSERT_DONE(vmm_unmap_ram(&self->vmm));
	/* Stage 1 is in the cache, so it is stage 2 that stops the device */
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), self->pasid, VA_A);
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), NO_PASID, VA_A);
	/* Not even the tables can be read */
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid, VA_A);

	ASSERT_DONE(vmm_map_ram(&self->vmm));
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	test_dma(DEV(0), NO_PASID, VA_A, self->page2);

	/* Memory that the guest may only read, whatever it says in its table */
	map.vaddr = (uintptr_t)mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*(volatile __u64 *)(uintptr_t)map.vaddr = 0x1122334455667788ULL;
	ASSERT_DONE(ioctl(self->vmm.container, VFIO_IOMMU_MAP_DMA, &map));
	guest_map(&self->pt, VA_B, map.iova);
	{
		__u64 got = 0;

		EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(DEV(0), 0, self->pasid,
						     VA_B, &got));
		EXPECT_EQ(0x1122334455667788ULL, got);
		EXPECT_EQ(MOCK_DMA_ABORT_S2,
			  mock_dma_write(DEV(0), 0, self->pasid, VA_B, 1));
		EXPECT_EQ(got, *(volatile __u64 *)(uintptr_t)map.vaddr);
	}
}

/* What a device has bound ends with it, what the container has does not */
TEST_F(bind, device_closed)
{
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_cmd_bind(self->scope, &self->pt2, NO_PASID);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	close_fd(&DEV(0));
	self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
	ASSERT_LE(0, DEV(0));

	if (variant->device) {
		EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
		EXPECT_EQ(0, mock_stats(DEV(0)).domains);
		test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
		test_dma(DEV(0), NO_PASID, self->page, self->page);
		/* The PASID is the container's */
		self->scope = device_scope(&self->vmm, 0);
		test_cmd_bind(self->scope, &self->pt, self->pasid);
		test_dma(DEV(0), self->pasid, VA_A, self->page);
	} else {
		EXPECT_EQ(2, mock_stats(DEV(0)).bonds);
		test_dma(DEV(0), self->pasid, VA_A, self->page);
		test_dma(DEV(0), NO_PASID, VA_A, self->page2);
		test_cmd_unbind(self->scope, self->pasid);
	}
}

/* It is the last close that counts */
TEST_F(bind, device_open_twice)
{
	int again = mock_open_device(self->vmm.group[0], 0);

	ASSERT_LE(0, again);
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	close_fd(&DEV(0));
	test_dma(again, self->pasid, VA_A, self->page);
	DEV(0) = again;
}

/* ---------------------------------------------------------------------
 * Page tables of all sizes
 */
FIXTURE(page_size)
{
	struct vmm vmm;
	struct scope scope;
	struct guest_pt pt;
	__u32 pasid;
};

FIXTURE_VARIANT(page_size)
{
	int levels;
	int leaf;
};

FIXTURE_VARIANT_ADD(page_size, levels_4_leaf_4k)
{
	.levels = 4,
	.leaf = 1,
};

FIXTURE_VARIANT_ADD(page_size, levels_4_leaf_2m)
{
	.levels = 4,
	.leaf = 2,
};

FIXTURE_VARIANT_ADD(page_size, levels_4_leaf_1g)
{
	.levels = 4,
	.leaf = 3,
};

FIXTURE_VARIANT_ADD(page_size, levels_5_leaf_4k)
{
	.levels = 5,
	.leaf = 1,
};

FIXTURE_VARIANT_ADD(page_size, levels_5_leaf_2m)
{
	.levels = 5,
	.leaf = 2,
};

FIXTURE_VARIANT_ADD(page_size, levels_5_leaf_1g)
{
	.levels = 5,
	.leaf = 3,
};

FIXTURE_SETUP(page_size)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	self->scope = container_scope(&self->vmm);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, variant->levels);
	test_cmd_pasid_alloc(self->vmm.container, 1, UINT_MAX, &self->pasid);
	test_cmd_bind(self->scope, &self->pt, self->pasid);
}

FIXTURE_TEARDOWN(page_size)
{
	vmm_close(&self->vmm);
	params_restore();
}

TEST_F(page_size, dma)
{
	__u64 size = 1ULL << (12 + 9 * (variant->leaf - 1));
	/* Above what four levels reach, if there are five */
	__u64 va = (variant->levels == 5 ? 0x00ab000000000000ULL : 0) +
		   17 * SZ_1G;
	/* As a page of that size, and somewhere in it that is guest memory */
	__u64 gpa = GUEST_BIG_PAGE & ~(size - 1);
	__u64 offset = GUEST_BIG_PAGE - gpa +
		       (variant->leaf > 1 ? 0x9000 : 0);

	guest_map_level(&self->pt, va, gpa, VTD_RW, variant->leaf);
	test_dma(DEV(0), self->pasid, va + offset, gpa + offset);
	test_dma(DEV(0), self->pasid, va + offset + 0xff8,
		 gpa + offset + 0xff8);
	/* One entry serves it all, the first and the last page */
	test_dma_read(DEV(0), self->pasid, va + GUEST_BIG_PAGE - gpa,
		      GUEST_BIG_PAGE);
	EXPECT_EQ(1, mock_stats(DEV(0)).iotlb_entries);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid, va + size);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid, va - 8);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid, gpa + offset);
	if (variant->leaf == 3)
		test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), self->pasid,
				 va + SZ_1G - 8);
	EXPECT_EQ(VTD_A | VTD_D,
		  guest_read(&self->vmm, guest_pt_entry(&self->pt, va,
							variant->leaf)) &
		  (VTD_A | VTD_D));

	/* The upper half of the addresses, and what lies between the halves */
	va |= ~0ULL << (variant->levels == 5 ? 56 : 47);
	guest_map_level(&self->pt, va, gpa, VTD_RW, variant->leaf);
	test_dma(DEV(0), self->pasid, va + offset, gpa + offset);
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid,
			 va & ~(1ULL << 63));
	test_dma_stopped(MOCK_DMA_ABORT_S1, DEV(0), self->pasid,
			 1ULL << (variant->levels == 5 ? 56 : 47));
}

/* ---------------------------------------------------------------------
 * Several devices
 */
FIXTURE(devices)
{
	struct vmm vmm;
	struct scope scope;
	struct guest_pt pt;
	__u64 page;
	__u32 pasid;
};

FIXTURE_SETUP(devices)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	/* All that are alone in their group */
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x7));
	self->scope = container_scope(&self->vmm);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, self->page);
	test_cmd_pasid_alloc(self->vmm.container, 1, UINT_MAX, &self->pasid);
}

FIXTURE_TEARDOWN(devices)
{
	/* Should a test end early: nothing else can be closed before */
	_test_cmd_inject(DEV(0), 0, MOCK_INJECT_BIND_HELD, 0);
	vmm_close(&self->vmm);
	params_restore();
}

TEST_F(devices, all_at_once)
{
	int i;

	test_cmd_bind(self->scope, &self->pt, self->pasid);
	for (i = 0; i < 3; i++)
		test_dma(DEV(i), self->pasid, VA_A, self->page);
	EXPECT_EQ(3, mock_stats(DEV(0)).domains);
	test_cmd_unbind(self->scope, self->pasid);
	for (i = 0; i < 3; i++)
		test_dma_stopped(MOCK_DMA_BLOCKED, DEV(i), self->pasid, VA_A);

	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	for (i = 0; i < 3; i++)
		test_dma(DEV(i), NO_PASID, VA_A, self->page);
	test_cmd_unbind(self->scope, NO_PASID);
	for (i = 0; i < 3; i++)
		test_dma(DEV(i), NO_PASID, self->page, self->page);
}

TEST_F(devices, one_of_them)
{
	test_cmd_bind(device_scope(&self->vmm, 1), &self->pt, self->pasid);
	test_dma(DEV(1), self->pasid, VA_A, self->page);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(2), self->pasid, VA_A);
	test_err_unbind(ENOENT, device_scope(&self->vmm, 0), self->pasid);
	test_err_inv(ENOENT, device_scope(&self->vmm, 0),
		     inv_pasid(IOTLB, self->pasid));
	/* The container finds it wherever it is */
	test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid));
	test_cmd_unbind(self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(1), self->pasid, VA_A);
}

/* All or nothing, whichever device it fails on */
TEST_F(devices, all_or_nothing)
{
	struct guest_pt other;
	int failing, i;

	for (failing = 0; failing < 3; failing++) {
		test_cmd_inject(DEV(failing), MOCK_INJECT_BIND_ERROR, 1);
		test_err_bind(EIO, self->scope, &self->pt, self->pasid);
		test_cmd_inject(DEV(failing), MOCK_INJECT_BIND_ERROR, 1);
		test_err_bind(EIO, self->scope, &self->pt, NO_PASID);
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(0, mock_stats(DEV(i)).bonds);
			test_dma_stopped(MOCK_DMA_BLOCKED, DEV(i), self->pasid,
					 VA_A);
			test_dma(DEV(i), NO_PASID, self->page, self->page);
		}
		EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	}

	/* What was there before is still there, and only that */
	guest_pt_init(&other, &self->vmm, GUEST_PT_VTD, 4);
	test_cmd_bind(device_scope(&self->vmm, 1), &self->pt, self->pasid);
	test_err_bind(EBUSY, self->scope, &other, self->pasid);
	test_dma(DEV(1), self->pasid, VA_A, self->page);
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(1, mock_stats(DEV(1)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(2)).bonds);
}

/* A device that joins later has nothing of what was bound before */
TEST_F(devices, late)
{
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	close_fd(&DEV(2));
	close_fd(&self->vmm.group[2]);
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 2));
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(2), self->pasid, VA_A);
	test_dma(DEV(2), NO_PASID, self->page, self->page);
	/* And does not get in the way of what the others have */
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid));
	test_err_bind(EBUSY, self->scope, &self->pt, self->pasid);
	test_cmd_bind(device_scope(&self->vmm, 2), &self->pt, self->pasid);
	test_dma(DEV(2), self->pasid, VA_A, self->page);
	test_cmd_unbind(self->scope, self->pasid);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid, VA_A);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(2), self->pasid, VA_A);
}

/* Devices of one group cannot be told apart: no tables of a guest for them */
TEST_F(devices, shared_group)
{
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 3));
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 4));
	test_err_bind(EPERM, device_scope(&self->vmm, 3), &self->pt,
		      self->pasid);
	test_err_bind(EPERM, device_scope(&self->vmm, 4), &self->pt, NO_PASID);
	test_err_bind(EPERM, self->scope, &self->pt, self->pasid);
	test_err_bind(EPERM, self->scope, &self->pt, NO_PASID);
	EXPECT_ERRNO(EPERM, fault_open(DEV(3)));
	EXPECT_EQ(0, mock_stats(DEV(0)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	test_dma(DEV(3), NO_PASID, self->page, self->page);
	test_dma(DEV(4), NO_PASID, self->page, self->page);
	/* The others are still good for it */
	test_cmd_bind(device_scope(&self->vmm, 0), &self->pt, self->pasid);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
}

TEST_F(devices, two_containers)
{
	struct vmm other;
	struct guest_pt pt;
	__u64 page, want = fresh_value(), got = 0;
	__u32 pasid;

	/* Device 2 moves, with a guest memory of the same addresses */
	close_fd(&DEV(2));
	close_fd(&self->vmm.group[2]);
	ASSERT_EQ(0, vmm_init(&other));
	ASSERT_DONE(vmm_open(&other, VFIO_TYPE1_NESTING_IOMMU, 1 << 2));
	guest_pt_init(&pt, &other, GUEST_PT_VTD, 4);
	page = guest_page(&other);
	guest_map(&pt, VA_A, page);
	EXPECT_EQ(self->pt.root, pt.root);
	EXPECT_NE(self->page, 0);
	test_cmd_pasid_alloc(other.container, 1, UINT_MAX, &pasid);
	test_cmd_bind(container_scope(&other), &pt, pasid);
	test_cmd_bind(self->scope, &self->pt, self->pasid);

	guest_write(&other, page, want);
	guest_write(&self->vmm, self->page, fresh_value());
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(other.dev[2], 0, pasid, VA_A,
					     &got));
	EXPECT_EQ(want, got);
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	EXPECT_EQ(want, guest_read(&other, page));

	/* What is invalidated there is not invalidated here. */
	page = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, page);
	test_cmd_inv(container_scope(&other), inv_domain(IOTLB));
	test_dma(DEV(0), self->pasid, VA_A, self->page);
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	test_dma(DEV(0), self->pasid, VA_A, page);

	/* What ends here does not end there */
	test_cmd_unbind(self->scope, self->pasid);
	vmm_close_fds(&self->vmm);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(other.dev[2], 0, pasid, VA_A,
					     &got));
	EXPECT_EQ(want, got);
	vmm_close(&other);
}

/* ---------------------------------------------------------------------
 * Invalidation
 */
#define NR_SPACES	3

#define invalidate_test	FIXTURE_DATA(invalidate)

FIXTURE(invalidate)
{
	struct vmm vmm;
	struct scope scope;
	/* Address spaces: of two PASIDs, and of requests without PASID */
	struct guest_pt pt[NR_SPACES];
	__u32 pasid[NR_SPACES];
	/* Where the entries point, and where they did */
	__u64 new_page, old_page;
	/* How the device asks, and which caches have an entry then */
	__u32 dma_flags;
	__u8 cache;
};

FIXTURE_VARIANT(invalidate)
{
	bool device;
	bool ats;
};

FIXTURE_VARIANT_ADD(invalidate, container)
{
};

FIXTURE_VARIANT_ADD(invalidate, device)
{
	.device = true,
};

FIXTURE_VARIANT_ADD(invalidate, container_ats)
{
	.ats = true,
};

FIXTURE_VARIANT_ADD(invalidate, device_ats)
{
	.device = true,
	.ats = true,
};

FIXTURE_SETUP(invalidate)
{
	int i;

	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x3));
	self->scope = variant->device ? device_scope(&self->vmm, 0) :
					container_scope(&self->vmm);
	self->dma_flags = variant->ats ? MOCK_DMA_ATS : 0;
	self->cache = IOTLB | (variant->ats ? DEVTLB : 0);
	self->old_page = guest_page(&self->vmm);
	self->new_page = guest_page(&self->vmm);
	for (i = 0; i < NR_SPACES; i++) {
		guest_pt_init(&self->pt[i], &self->vmm, GUEST_PT_VTD, 4);
		self->pasid[i] = NO_PASID;
		if (i < NR_SPACES - 1)
			test_cmd_pasid_alloc(self->vmm.container, 1, UINT_MAX,
					     &self->pasid[i]);
		test_cmd_bind(container_scope(&self->vmm), &self->pt[i],
			      self->pasid[i]);
	}
}

FIXTURE_TEARDOWN(invalidate)
{
	vmm_close(&self->vmm);
	params_restore();
}

/* The device gets @va of address space @i from the old page */
#define test_stale_on(dev, i, va)					\
	test_dma_read_flags(dev, self->dma_flags, self->pasid[i], va,	\
			    self->old_page)
#define test_stale(i, va)	test_stale_on(DEV(0), i, va)
/* From the new one */
#define test_fresh_on(dev, i, va)					\
	test_dma_read_flags(dev, self->dma_flags, self->pasid[i], va,	\
			    self->new_page)
#define test_fresh(i, va)	test_fresh_on(DEV(0), i, va)

/* Bring the device's caches in a state in which they are wrong about @va */
#define make_stale(i, va)						\
	({								\
		guest_map(&self->pt[i], va, self->old_page);		\
		test_stale(i, va);					\
		guest_map(&self->pt[i], va, self->new_page);		\
		test_stale(i, va);					\
	})

/* The same for all address spaces and for two addresses in each */
#define make_all_stale()						\
	({								\
		int _i;							\
									\
		for (_i = 0; _i < NR_SPACES; _i++) {			\
			make_stale(_i, VA_A);				\
			make_stale(_i, VA_B);				\
		}							\
	})

#define test_all_stale()						\
	({								\
		int _i;							\
									\
		for (_i = 0; _i < NR_SPACES; _i++) {			\
			test_stale(_i, VA_A);				\
			test_stale(_i, VA_B);				\
		}							\
	})

/* Domain granularity has no device TLB: that takes one request for each PASID */
#define flush_devtlb(_scope)						\
	({								\
		int _i;							\
									\
		for (_i = 0; _i < NR_SPACES; _i++)			\
			test_cmd_inv(_scope, inv_pasid(DEVTLB,		\
						       self->pasid[_i])); \
	})

TEST_F(invalidate, domain)
{
	int i;

	make_all_stale();
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	EXPECT_EQ(0, mock_stats(DEV(0)).iotlb_entries);
	if (variant->ats) {
		test_all_stale();
		flush_devtlb(self->scope);
	}
	for (i = 0; i < NR_SPACES; i++) {
		test_fresh(i, VA_A);
		test_fresh(i, VA_B);
	}
}

TEST_F(invalidate, pasid)
{
	int i, j;

	for (i = 0; i < NR_SPACES; i++) {
		/* Start anew */
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		flush_devtlb(self->scope);
		make_all_stale();
		test_cmd_inv(self->scope, inv_pasid(self->cache,
						    self->pasid[i]));
		for (j = 0; j < NR_SPACES; j++) {
			if (i == j) {
				test_fresh(j, VA_A);
				test_fresh(j, VA_B);
			} else {
				test_stale(j, VA_A);
				test_stale(j, VA_B);
			}
		}
	}
}

TEST_F(invalidate, address)
{
	int i, j;

	for (i = 0; i < NR_SPACES; i++) {
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		flush_devtlb(self->scope);
		make_all_stale();
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[i],
						   VA_B, SZ_4K, 1));
		for (j = 0; j < NR_SPACES; j++) {
			if (i == j)
				test_fresh(j, VA_B);
			else
				test_stale(j, VA_B);
			test_stale(j, VA_A);
		}
	}
}

/* Without a selector, addresses are those of all address spaces */
TEST_F(invalidate, address_everywhere)
{
	struct iommu_cache_invalidate_info info =
		inv_addr(self->cache, NO_PASID, VA_B, SZ_4K, 1);
	int i;

	make_all_stale();
	info.granu.addr_info.flags = 0;
	test_cmd_inv(self->scope, info);
	for (i = 0; i < NR_SPACES; i++) {
		test_fresh(i, VA_B);
		test_stale(i, VA_A);
	}
}

TEST_F(invalidate, leaf)
{
	struct iommu_cache_invalidate_info info =
		inv_addr(self->cache, self->pasid[0], VA_B, SZ_4K, 1);

	make_all_stale();
	info.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_LEAF;
	test_cmd_inv(self->scope, info);
	test_fresh(0, VA_B);
	test_stale(0, VA_A);
	test_stale(1, VA_B);
}

/*
 * Tables on the way to a page are cached as well. An invalidation that says that
 * only leaf entries have changed leaves them.
 */
TEST_F(invalidate, non_leaf)
{
	struct iommu_cache_invalidate_info infos[] = {
		inv_addr(self->cache, self->pasid[0], VA_B, SZ_4K, 2),
		inv_pasid(self->cache, self->pasid[0]),
		inv_domain(IOTLB),
	};
	const __u64 va[] = { VA_B, VA_B + SZ_4K };
	struct iommu_cache_invalidate_info leaf, other;
	unsigned int i, j, level;
	__u64 entry, old, new;

	leaf = infos[0];
	leaf.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_LEAF;
	other = inv_addr(self->cache, self->pasid[1], VA_B, SZ_4K, 2);

	/* The change is one level above the page, then two */
	for (level = 2; level <= 3; level++) {
		for (i = 0; i < ARRAY_SIZE(infos); i++) {
			for (j = 0; j < ARRAY_SIZE(va); j++)
				guest_map(&self->pt[0], va[j], self->old_page);
			test_stale(0, va[0]);
			entry = guest_pt_entry(&self->pt[0], VA_B, level);
			old = guest_read(&self->vmm, entry);
			guest_write(&self->vmm, entry, 0);
			for (j = 0; j < ARRAY_SIZE(va); j++)
				guest_map(&self->pt[0], va[j], self->new_page);
			new = guest_read(&self->vmm, entry);
			ASSERT_NE(old & PT_ADDR, new & PT_ADDR);

			/* Also for a page that was not asked for before */
			test_stale(0, va[0]);
			test_stale(0, va[1]);
			test_cmd_inv(self->scope, leaf);
			test_cmd_inv(self->scope, other);
			test_stale(0, va[0]);
			test_stale(0, va[1]);
			test_cmd_inv(self->scope, infos[i]);
			if (variant->ats)
				flush_devtlb(self->scope);
			test_fresh(0, va[0]);
			test_fresh(0, va[1]);

			guest_write(&self->vmm, entry, old);
			test_cmd_inv(self->scope, inv_domain(IOTLB));
			flush_devtlb(self->scope);
		}
	}
}

/* Each cache for itself: a stale entry in one is enough */
TEST_F(invalidate, caches)
{
	make_stale(0, VA_A);
	if (!variant->ats) {
		/* The device's cache is not where this entry is */
		test_cmd_inv(self->scope, inv_pasid(DEVTLB, self->pasid[0]));
		test_cmd_inv(self->scope, inv_pasid(PASID_CACHE,
						    self->pasid[0]));
		test_stale(0, VA_A);
		test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid[0]));
		test_fresh(0, VA_A);
		return;
	}
	EXPECT_LT(0, mock_stats(DEV(0)).devtlb_entries);
	test_cmd_inv(self->scope, inv_pasid(IOTLB, self->pasid[0]));
	EXPECT_EQ(0, mock_stats(DEV(0)).iotlb_entries);
	test_stale(0, VA_A);
	test_cmd_inv(self->scope, inv_pasid(DEVTLB, self->pasid[0]));
	EXPECT_EQ(0, mock_stats(DEV(0)).devtlb_entries);
	test_fresh(0, VA_A);

	/* The device asks the IOMMU, which does not know better */
	make_stale(1, VA_A);
	test_cmd_inv(self->scope, inv_addr(DEVTLB, self->pasid[1], VA_A, SZ_4K,
					   1));
	test_stale(1, VA_A);
	test_cmd_inv(self->scope, inv_addr(IOTLB, self->pasid[1], VA_A, SZ_4K,
					   1));
	test_stale(1, VA_A);
	test_cmd_inv(self->scope, inv_addr(DEVTLB | IOTLB, self->pasid[1],
					   VA_A, SZ_4K, 1));
	test_fresh(1, VA_A);
}

TEST_F(invalidate, ranges)
{
	static const struct {
		int first;
		__u64 granule;
		__u64 nr;
	} ranges[] = {
		{ 0, SZ_4K, 1 }, { 3, SZ_4K, 1 }, { 0, SZ_4K, 3 },
		{ 2, SZ_4K, 2 }, { 0, SZ_4K, 5 }, { 0, 2 * SZ_4K, 1 },
		{ 2, 2 * SZ_4K, 1 }, { 0, 4 * SZ_4K, 1 }, { 0, SZ_2M, 1 },
		{ 0, SZ_1G, 1 }, { 0, SZ_1G, 1000 },
	};
	__u64 base = 64 * SZ_1G;
	unsigned int i, page;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		__u64 begin = base + ranges[i].first * SZ_4K;
		__u64 size = ranges[i].granule * ranges[i].nr;

		test_cmd_inv(self->scope, inv_pasid(self->cache,
						    self->pasid[0]));
		for (page = 0; page < 5; page++)
			make_stale(0, base + page * SZ_4K);
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
						   begin, ranges[i].granule,
						   ranges[i].nr));
		for (page = 0; page < 5; page++) {
			__u64 va = base + page * SZ_4K;

			if (va >= begin && va - begin < size)
				test_fresh(0, va);
			else
				test_stale(0, va);
		}
	}
}

/* As wide as it gets, in a time that does not depend on the width */
TEST_F(invalidate, huge_ranges)
{
	static const struct {
		__u64 addr;
		__u64 granule;
		__u64 nr;
	} ranges[] = {
		{ 0, SZ_4K, (1ULL << 52) - 1 },
		{ 0, SZ_1G, (1ULL << 34) - 1 },
		{ 0, 1ULL << 63, 1 },
		{ VA_B, SZ_4K, 1ULL << 51 },
	};
	__u64 begin = now_ms();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		make_all_stale();
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
						   ranges[i].addr,
						   ranges[i].granule,
						   ranges[i].nr));
		test_fresh(0, VA_A);
		test_fresh(0, VA_B);
		test_stale(1, VA_A);
		test_stale(2, VA_A);
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		flush_devtlb(self->scope);
	}
	EXPECT_GT(10000, now_ms() - begin);

	/* The last byte that there is */
	test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
					   1ULL << 63, 1ULL << 63, 1));
	test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
					   -SZ_4K, SZ_4K, 1));
}

/* An address anywhere in a large page means the entry of all of it */
TEST_F(invalidate, inside_large_page)
{
	__u64 va = 128 * SZ_1G, offset;
	__u64 small = guest_page(&self->vmm);
	int i;

	self->old_page = GUEST_BIG_PAGE + 0x7000;
	for (offset = 0x5000; offset < SZ_2M; offset += 0xf6000) {
		guest_map_level(&self->pt[0], va, GUEST_BIG_PAGE, VTD_RW, 2);
		test_dma_read_flags(DEV(0), self->dma_flags, self->pasid[0],
				    va + 0x7000, self->old_page);
		/* The guest splits it */
		guest_write(&self->vmm, guest_pt_entry(&self->pt[0], va, 2),
			    small | VTD_RW);
		for (i = 0; i < 512; i++)
			guest_write(&self->vmm, small + i * 8,
				    self->new_page | VTD_RW);
		test_dma_read_flags(DEV(0), self->dma_flags, self->pasid[0],
				    va + 0x7000, self->old_page);
		/* Next to it is not in it */
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
						   va + SZ_2M, SZ_4K, 1));
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
						   va - SZ_4K, SZ_4K, 1));
		test_dma_read_flags(DEV(0), self->dma_flags, self->pasid[0],
				    va + 0x7000, self->old_page);
		test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0],
						   va + offset, SZ_4K, 1));
		test_fresh(0, va + 0x7000);
		test_cmd_inv(self->scope, inv_pasid(self->cache,
						    self->pasid[0]));
	}
}

/* Permission that the guest takes away is a stale entry as well */
TEST_F(invalidate, permission)
{
	guest_map(&self->pt[0], VA_A, self->new_page);
	test_dma_write_flags(DEV(0), self->dma_flags, self->pasid[0], VA_A,
			     self->new_page);
	guest_map_level(&self->pt[0], VA_A, self->new_page, VTD_RO | VTD_A, 1);
	test_dma_write_flags(DEV(0), self->dma_flags, self->pasid[0], VA_A,
			     self->new_page);
	test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0], VA_A,
					   SZ_4K, 1));
	EXPECT_EQ(MOCK_DMA_ABORT_S1,
		  mock_dma_write(DEV(0), self->dma_flags, self->pasid[0], VA_A,
				 fresh_value()));
	test_fresh(0, VA_A);
	guest_unmap(&self->pt[0], VA_A);
	test_fresh(0, VA_A);
	test_cmd_inv(self->scope, inv_addr(self->cache, self->pasid[0], VA_A,
					   SZ_4K, 1));
	test_dma_stopped_flags(MOCK_DMA_ABORT_S1, DEV(0), self->dma_flags,
			       self->pasid[0], VA_A);
}

/* The container means all its devices, a device itself alone */
TEST_F(invalidate, other_device)
{
	struct iommu_cache_invalidate_info info;

	guest_map(&self->pt[0], VA_A, self->old_page);
	test_stale_on(DEV(0), 0, VA_A);
	test_stale_on(DEV(1), 0, VA_A);
	guest_map(&self->pt[0], VA_A, self->new_page);
	test_stale_on(DEV(0), 0, VA_A);
	test_stale_on(DEV(1), 0, VA_A);
	test_cmd_inv(self->scope, inv_pasid(self->cache, self->pasid[0]));
	test_fresh_on(DEV(0), 0, VA_A);
	if (variant->device)
		test_stale_on(DEV(1), 0, VA_A);
	else
		test_fresh_on(DEV(1), 0, VA_A);

	/* In a batch it is the same */
	info = inv_addr(self->cache, self->pasid[0], VA_B, SZ_4K, 1);
	guest_map(&self->pt[0], VA_B, self->old_page);
	test_stale_on(DEV(0), 0, VA_B);
	test_stale_on(DEV(1), 0, VA_B);
	guest_map(&self->pt[0], VA_B, self->new_page);
	test_cmd_inv_batch(self->scope, &info, sizeof(info), 1);
	test_fresh_on(DEV(0), 0, VA_B);
	if (variant->device)
		test_stale_on(DEV(1), 0, VA_B);
	else
		test_fresh_on(DEV(1), 0, VA_B);
}

TEST_F(invalidate, guest_numbers)
{
	struct scope container = container_scope(&self->vmm);
	struct iommu_cache_invalidate_info info;

	/* Crosswise, so that a mix-up shows */
	test_cmd_unbind(container, self->pasid[0]);
	test_cmd_unbind(container, self->pasid[1]);
	test_cmd_bind_gpasid(container, &self->pt[0], self->pasid[0],
			     self->pasid[1]);
	test_cmd_bind_gpasid(container, &self->pt[1], self->pasid[1],
			     self->pasid[0]);

	make_all_stale();
	info = inv_pasid(self->cache, self->pasid[0]);
	test_cmd_inv(self->scope, info);
	test_fresh(0, VA_A);
	test_stale(1, VA_A);
	info.granu.pasid_info.flags |= IOMMU_INV_PASID_FLAGS_GPASID;
	test_cmd_inv(self->scope, info);
	test_fresh(1, VA_A);
	test_stale(2, VA_A);

	test_cmd_inv(self->scope, inv_domain(IOTLB));
	flush_devtlb(self->scope);
	make_all_stale();
	info = inv_addr(self->cache, self->pasid[0], VA_A, SZ_4K, 1);
	info.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_GPASID;
	test_cmd_inv(self->scope, info);
	test_stale(0, VA_A);
	test_fresh(1, VA_A);
	test_stale(1, VA_B);
	info.granu.addr_info.pasid = 0xfffff;
	test_err_inv(ENOENT, self->scope, info);
	info = inv_pasid(self->cache, 0xfffff);
	info.granu.pasid_info.flags |= IOMMU_INV_PASID_FLAGS_GPASID;
	test_err_inv(ENOENT, self->scope, info);
}

#define test_err_inv_changed(_errno, _info, _field, _value)		\
	({								\
		struct iommu_cache_invalidate_info _inv = _info;	\
									\
		_inv._field = _value;					\
		test_err_inv(_errno, self->scope, _inv);		\
	})

TEST_F(invalidate, errors)
{
	struct iommu_cache_invalidate_info domain = inv_domain(IOTLB);
	struct iommu_cache_invalidate_info pasid =
		inv_pasid(self->cache, self->pasid[0]);
	struct iommu_cache_invalidate_info addr =
		inv_addr(self->cache, self->pasid[0], VA_A, SZ_4K, 1);
	struct mock_stats before, after;
	__u64 value;
	int bit;

	make_all_stale();
	before = mock_stats(DEV(0));

	/* Which cache, and how much of it */
	test_err_inv_changed(EINVAL, domain, cache, 0);
	test_err_inv_changed(EINVAL, domain, cache, DEVTLB);
	test_err_inv_changed(EINVAL, domain, cache, IOTLB | DEVTLB);
	test_err_inv_changed(EINVAL, domain, cache, DEVTLB | PASID_CACHE);
	test_err_inv_changed(EINVAL, pasid, cache, 0);
	test_err_inv_changed(EINVAL, addr, cache, 0);
	test_err_inv_changed(EINVAL, addr, cache, PASID_CACHE);
	test_err_inv_changed(EINVAL, addr, cache, IOTLB | PASID_CACHE);
	test_err_inv_changed(EINVAL, addr, cache, IOTLB | DEVTLB | PASID_CACHE);
	for (value = IOMMU_INV_GRANU_NR; value < 256; value++)
		test_err_inv_changed(EINVAL, addr, granularity, value);

	/* Which address space */
	test_err_inv_changed(EINVAL, pasid, granu.pasid_info.flags, 0);
	test_err_inv_changed(EINVAL, pasid, granu.pasid_info.flags,
			     IOMMU_INV_PASID_FLAGS_GPASID);
	test_err_inv_changed(EINVAL, pasid, granu.pasid_info.flags,
			     IOMMU_INV_PASID_FLAGS_PASID |
			     IOMMU_INV_PASID_FLAGS_NO_PASID);
	/* A page table has no tag of the guest's architecture */
	test_err_inv_changed(EINVAL, pasid, granu.pasid_info.flags,
			     IOMMU_INV_PASID_FLAGS_ARCHID);
	test_err_inv_changed(EINVAL, addr, granu.addr_info.flags,
			     IOMMU_INV_ADDR_FLAGS_GPASID);
	test_err_inv_changed(EINVAL, addr, granu.addr_info.flags,
			     IOMMU_INV_ADDR_FLAGS_PASID |
			     IOMMU_INV_ADDR_FLAGS_NO_PASID);
	test_err_inv_changed(ENOENT, pasid, granu.pasid_info.pasid, 0);
	test_err_inv_changed(ENOENT, pasid, granu.pasid_info.pasid, 0xfffff);
	test_err_inv_changed(ENOENT, addr, granu.addr_info.pasid, 0xfffff);
	for (bit = 20; bit < 64; bit++) {
		test_err_inv_changed(EINVAL, pasid, granu.pasid_info.pasid,
				     self->pasid[0] | 1ULL << bit);
		test_err_inv_changed(EINVAL, addr, granu.addr_info.pasid,
				     self->pasid[0] | 1ULL << bit);
	}

	/* Which addresses */
	for (bit = 0; bit < 12; bit++) {
		test_err_inv_changed(EINVAL, addr, granu.addr_info.addr,
				     VA_A | 1ULL << bit);
		test_err_inv_changed(EINVAL, addr,
				     granu.addr_info.granule_size, 1ULL << bit);
	}
	test_err_inv_changed(EINVAL, addr, granu.addr_info.granule_size, 0);
	/* To which everything is aligned that is to its parts */
	test_err_inv(EINVAL, self->scope, inv_addr(self->cache, self->pasid[0],
						   0, 3 * SZ_4K, 1));
	test_err_inv_changed(EINVAL, addr, granu.addr_info.granule_size, SZ_2M);
	test_err_inv_changed(EINVAL, addr, granu.addr_info.nb_granules, 0);
	test_err_inv(EINVAL, self->scope, inv_addr(self->cache, self->pasid[0],
						   0, SZ_4K, 0));
	test_err_inv_changed(EINVAL, addr, granu.addr_info.nb_granules,
			     1ULL << 52);
	test_err_inv_changed(EINVAL, addr, granu.addr_info.nb_granules,
			     UINT64_MAX);
	/* 2^52 granules of 4 KiB are all there are: none fit after the first */
	test_err_inv_changed(EINVAL, addr, granu.addr_info.nb_granules,
			     (1ULL << 52) - VA_A / SZ_4K + 1);
	test_err_inv(EINVAL, self->scope,
		     inv_addr(self->cache, self->pasid[0], 1ULL << 63,
			      1ULL << 63, 2));
	test_err_inv(EINVAL, self->scope,
		     inv_addr(self->cache, self->pasid[0], -SZ_4K, SZ_4K, 2));
	test_err_inv(EINVAL, self->scope,
		     inv_addr(self->cache, self->pasid[0], 0, SZ_2M,
			      1ULL << 43));

	after = mock_stats(DEV(0));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	test_all_stale();
}

/* Nothing bound is nothing cached, and no error unless a name is given */
TEST_F(invalidate, nothing_bound)
{
	struct iommu_cache_invalidate_info addr =
		inv_addr(self->cache, NO_PASID, VA_A, SZ_4K, 1);
	int i;

	for (i = 0; i < NR_SPACES; i++)
		test_cmd_unbind(container_scope(&self->vmm), self->pasid[i]);
	test_cmd_inv(self->scope, inv_domain(IOTLB));
	test_cmd_inv(self->scope, inv_domain(PASID_CACHE));
	addr.granu.addr_info.flags = 0;
	test_cmd_inv(self->scope, addr);
	for (i = 0; i < NR_SPACES; i++) {
		test_err_inv(ENOENT, self->scope,
			     inv_pasid(self->cache, self->pasid[i]));
		test_err_inv(ENOENT, self->scope,
			     inv_addr(self->cache, self->pasid[i], VA_A, SZ_4K,
				      1));
	}
	EXPECT_EQ(0, mock_stats(DEV(0)).invalidations);
}

/* An invalidation that failed is an error, and what was stale still is */
TEST_F(invalidate, hardware_errors)
{
	static const struct {
		__u32 inject;
		int err;
	} errors[] = {
		{ MOCK_INJECT_INV_TIMEOUT, ETIMEDOUT },
		{ MOCK_INJECT_INV_ERROR, EIO },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		flush_devtlb(self->scope);
		make_all_stale();
		test_cmd_inject(DEV(0), errors[i].inject, 2);
		test_err_inv(errors[i].err, self->scope,
			     inv_pasid(self->cache, self->pasid[0]));
		test_stale(0, VA_A);
		test_err_inv(errors[i].err, self->scope,
			     inv_addr(self->cache, self->pasid[0], VA_A, SZ_4K,
				      1));
		test_stale(0, VA_A);
		/* Once more, with hardware that is well again */
		test_cmd_inv(self->scope, inv_pasid(self->cache,
						    self->pasid[0]));
		test_fresh(0, VA_A);
		test_stale(1, VA_A);

		/* One of several address spaces that a request is about */
		test_cmd_inject(DEV(0), errors[i].inject, 1);
		test_err_inv(errors[i].err, self->scope, inv_domain(IOTLB));
		test_cmd_inv(self->scope, inv_domain(IOTLB));
		flush_devtlb(self->scope);
		test_fresh(0, VA_A);
		test_fresh(1, VA_A);
		test_fresh(2, VA_A);
	}
}

/* The error of one device neither hides nor keeps away from the others */
TEST_F(invalidate, hardware_error_of_one_device)
{
	struct scope container = container_scope(&self->vmm);
	int failing;

	for (failing = 0; failing < 2; failing++) {
		guest_map(&self->pt[0], VA_A, self->old_page);
		test_cmd_inv(container, inv_pasid(self->cache, self->pasid[0]));
		test_stale_on(DEV(0), 0, VA_A);
		test_stale_on(DEV(1), 0, VA_A);
		guest_map(&self->pt[0], VA_A, self->new_page);
		test_cmd_inject(DEV(failing), MOCK_INJECT_INV_TIMEOUT, 1);
		/* Device 1 is none of the business of device 0 */
		if (variant->device && failing == 1) {
			test_cmd_inv(self->scope, inv_pasid(self->cache,
							    self->pasid[0]));
			test_fresh_on(DEV(0), 0, VA_A);
			test_stale_on(DEV(1), 0, VA_A);
			continue;
		}
		test_err_inv(ETIMEDOUT, self->scope,
			     inv_pasid(self->cache, self->pasid[0]));
		test_stale_on(DEV(failing), 0, VA_A);
		if (variant->device)
			test_stale_on(DEV(!failing), 0, VA_A);
		else
			test_fresh_on(DEV(!failing), 0, VA_A);
	}
}

/* ---------------------------------------------------------------------
 * Batches of invalidations
 */
#define NR_ENTRIES	6

#define entry_va(i)	(VA_A + (i) * SZ_2M)

/* A request for each of NR_ENTRIES addresses, all of them stale */
static void make_batch(struct __test_metadata *_metadata,
		       invalidate_test *self,
		       struct iommu_cache_invalidate_info *entries)
{
	int i;

	test_cmd_inv(self->scope, inv_pasid(self->cache, self->pasid[0]));
	for (i = 0; i < NR_ENTRIES; i++) {
		make_stale(0, entry_va(i));
		entries[i] = inv_addr(self->cache, self->pasid[0], entry_va(i),
				      SZ_4K, 1);
	}
}

/* The first @done are done, the others are not */
static void check_batch(struct __test_metadata *_metadata,
			invalidate_test *self, int done)
{
	int i;

	for (i = 0; i < NR_ENTRIES; i++) {
		if (i < done)
			test_fresh(0, entry_va(i));
		else
			test_stale(0, entry_va(i));
	}
}

TEST_F(invalidate, batch)
{
	struct iommu_cache_invalidate_info entries[NR_ENTRIES];

	make_batch(_metadata, self, entries);
	test_cmd_inv_batch(self->scope, entries, sizeof(*entries), NR_ENTRIES);
	check_batch(_metadata, self, NR_ENTRIES);

	/* A part of it */
	make_batch(_metadata, self, entries);
	test_cmd_inv_batch(self->scope, entries, sizeof(*entries), 4);
	check_batch(_metadata, self, 4);

	/* Nothing of it: then where it is does not matter */
	make_batch(_metadata, self, entries);
	test_cmd_inv_batch(self->scope, entries, sizeof(*entries), 0);
	test_cmd_inv_batch(self->scope, NULL, sizeof(*entries), 0);
	check_batch(_metadata, self, 0);
}

/* It ends at what is wrong, and says exactly where that was */
TEST_F(invalidate, batch_error_in_the_middle)
{
	struct iommu_cache_invalidate_info entries[NR_ENTRIES];
	int bad;

	for (bad = 0; bad < NR_ENTRIES; bad++) {
		make_batch(_metadata, self, entries);
		entries[bad].granu.addr_info.nb_granules = 0;
		test_err_inv_batch(EINVAL, bad, self->scope, entries,
				   sizeof(*entries), NR_ENTRIES);
		check_batch(_metadata, self, bad);

		make_batch(_metadata, self, entries);
		entries[bad].granu.addr_info.pasid = 0xfffff;
		test_err_inv_batch(ENOENT, bad, self->scope, entries,
				   sizeof(*entries), NR_ENTRIES);
		check_batch(_metadata, self, bad);

		make_batch(_metadata, self, entries);
		entries[bad].argsz = 8192;
		test_err_inv_batch(E2BIG, bad, self->scope, entries,
				   sizeof(*entries), NR_ENTRIES);
		check_batch(_metadata, self, bad);

		make_batch(_metadata, self, entries);
		entries[bad].version = 2;
		test_err_inv_batch(EINVAL, bad, self->scope, entries,
				   sizeof(*entries), NR_ENTRIES);
		check_batch(_metadata, self, bad);
	}
}

TEST_F(invalidate, batch_hardware_error)
{
	struct iommu_cache_invalidate_info entries[NR_ENTRIES];

	make_batch(_metadata, self, entries);
	test_cmd_inject(DEV(0), MOCK_INJECT_INV_TIMEOUT, 1);
	test_err_inv_batch(ETIMEDOUT, 0, self->scope, entries,
			   sizeof(*entries), NR_ENTRIES);
	check_batch(_metadata, self, 0);
	test_cmd_inject(DEV(0), MOCK_INJECT_INV_ERROR, 1);
	test_err_inv_batch(EIO, 0, self->scope, entries, sizeof(*entries),
			   NR_ENTRIES);
	check_batch(_metadata, self, 0);
	/* In its midst */
	test_cmd_inject_after_one(DEV(0), MOCK_INJECT_INV_TIMEOUT, 1);
	test_err_inv_batch(ETIMEDOUT, 1, self->scope, entries, sizeof(*entries),
			   NR_ENTRIES);
	check_batch(_metadata, self, 1);
	/* From where it stopped */
	test_cmd_inv_batch(self->scope, entries + 1, sizeof(*entries),
			   NR_ENTRIES - 1);
	check_batch(_metadata, self, NR_ENTRIES);
}

TEST_F(invalidate, batch_entry_sizes)
{
	struct iommu_cache_invalidate_info entries[NR_ENTRIES];
	const size_t sizes[] = { sizeof(*entries), 57, 64, 100, SZ_4K };
	__u8 buf[NR_ENTRIES * SZ_4K];
	unsigned int i, j;
	__u32 size;

	for (j = 0; j < ARRAY_SIZE(sizes); j++) {
		make_batch(_metadata, self, entries);
		/* What lies between the entries is nobody's business */
		memset(buf, 0xff, sizeof(buf));
		for (i = 0; i < NR_ENTRIES; i++)
			memcpy(buf + i * sizes[j], &entries[i],
			       sizeof(entries[i]));
		test_cmd_inv_batch(self->scope, buf, sizes[j], NR_ENTRIES);
		check_batch(_metadata, self, NR_ENTRIES);
	}

	/* Entries smaller than the structure, if that is all they need */
	make_batch(_metadata, self, entries);
	entries[0] = inv_pasid(self->cache, self->pasid[0]);
	size = entries[0].argsz;
	memcpy(buf, &entries[0], size);
	memcpy(buf + size, &entries[0], size);
	test_cmd_inv_batch(self->scope, buf, size, 2);
	check_batch(_metadata, self, NR_ENTRIES);

	/* Not if it is too little for any, or more than a page */
	make_batch(_metadata, self, entries);
	for (size = 0; size < offsetof(struct iommu_cache_invalidate_info, granu);
	     size++)
		test_err_inv_batch(EINVAL, 0, self->scope, entries, size,
				   NR_ENTRIES);
	test_err_inv_batch(EINVAL, 0, self->scope, entries,
			   sysconf(_SC_PAGE_SIZE) + 1, NR_ENTRIES);
	test_err_inv_batch(EINVAL, 0, self->scope, entries, UINT_MAX, 1);
	check_batch(_metadata, self, 0);
}

/* Memory that ends in the middle of an entry */
TEST_F(invalidate, batch_bad_pointer)
{
	const size_t size = sizeof(struct iommu_cache_invalidate_info);
	struct iommu_cache_invalidate_info entries[NR_ENTRIES];
	size_t page_size = sysconf(_SC_PAGE_SIZE), there;
	__u8 *mem, *at;

	mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	ASSERT_EQ(0, mprotect(mem + page_size, page_size, PROT_NONE));

	for (there = 0; there < 3 * size; there += size / 2) {
		make_batch(_metadata, self, entries);
		at = mem + page_size - there;
		memcpy(at, entries, there);
		test_err_inv_batch(EFAULT, there / size, self->scope, at, size,
				   NR_ENTRIES);
		check_batch(_metadata, self, there / size);
	}
	test_err_inv_batch(EFAULT, 0, self->scope, NULL, size, NR_ENTRIES);
	test_err_inv_batch(EFAULT, 0, self->scope, (void *)-4096L, size,
			   NR_ENTRIES);
}

/* 2^32 - 1 entries are many, but the first bad one ends it */
TEST_F(invalidate, batch_long)
{
	const unsigned int nr = 2000;
	struct iommu_cache_invalidate_info *entries;
	unsigned int i;

	entries = mmap(NULL, (nr + 1) * sizeof(*entries),
		       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	ASSERT_TRUE(entries != MAP_FAILED);
	make_all_stale();
	for (i = 0; i < nr; i++)
		entries[i] = inv_addr(self->cache, self->pasid[i % NR_SPACES],
				      i < nr - NR_SPACES ? SZ_4K * i : VA_A,
				      SZ_4K, 1);
	test_cmd_inv_batch(self->scope, entries, sizeof(*entries), nr);
	test_fresh(0, VA_A);
	test_fresh(1, VA_A);
	test_fresh(2, VA_A);
	test_stale(0, VA_B);
	test_err_inv_batch(EINVAL, nr, self->scope, entries, sizeof(*entries),
			   UINT_MAX);
}

/* ---------------------------------------------------------------------
 * Bind, DMA and invalidation at the same time
 */
struct race {
	volatile bool stop;
	struct vmm *vmm;
	struct scope scope;
	const struct guest_pt *pt;
	__u64 page;
	__u32 pasid;
	int dev;
	/* What nobody should see */
	volatile int bad;
	volatile unsigned long rounds[4];
};

static void *race_bind(void *arg)
{
	struct race *race = arg;

	while (!race->stop) {
		if (_test_cmd_bind(race->scope, race->pt, race->pasid))
			race->bad = errno;
		sched_yield();
		if (_test_cmd_unbind(race->scope, race->pasid))
			race->bad = errno;
		race->rounds[0]++;
	}
	return NULL;
}

static void *race_dma(void *arg)
{
	struct race *race = arg;
	__u64 want = guest_read(race->vmm, race->page), got;
	int status;

	while (!race->stop) {
		got = want;
		status = mock_dma_read(race->dev, race->rounds[1] & 1 ?
				       MOCK_DMA_ATS : 0, race->pasid, VA_A,
				       &got);
		if (status != MOCK_DMA_OK && status != MOCK_DMA_BLOCKED)
			race->bad = 1000 + status;
		if (got != want)
			race->bad = 2000;
		race->rounds[1]++;
	}
	return NULL;
}

static void *race_inv(void *arg)
{
	struct race *race = arg;

	while (!race->stop) {
		if (_test_cmd_inv(race->scope, inv_pasid(IOTLB | DEVTLB,
							 race->pasid)) &&
		    errno != ENOENT)
			race->bad = 3000 + errno;
		if (_test_cmd_inv(race->scope, inv_domain(IOTLB)))
			race->bad = 4000 + errno;
		race->rounds[2]++;
	}
	return NULL;
}

static void *race_pasids(void *arg)
{
	struct race *race = arg;
	__u32 pasid;

	while (!race->stop) {
		if (_test_cmd_pasid_alloc(race->vmm->container, 2000, 3000,
					  &pasid) ||
		    _test_cmd_pasid_free(race->vmm->container, pasid, pasid))
			race->bad = 5000 + errno;
		race->rounds[3]++;
	}
	return NULL;
}

TEST_F(devices, race)
{
	void *(*const fns[])(void *) = {
		race_bind, race_dma, race_inv, race_pasids,
	};
	pthread_t threads[2][ARRAY_SIZE(fns)];
	struct race races[2] = {};
	unsigned int i, j;

	/* All at once on the container, and on a device beside it */
	guest_write(&self->vmm, self->page, fresh_value());
	for (i = 0; i < 2; i++) {
		races[i].vmm = &self->vmm;
		races[i].scope = i ? device_scope(&self->vmm, 1) : self->scope;
		races[i].pt = &self->pt;
		races[i].page = self->page;
		races[i].dev = DEV(i);
		test_cmd_pasid_alloc(self->vmm.container, 1, 1000,
				     &races[i].pasid);
		for (j = 0; j < ARRAY_SIZE(fns); j++)
			ASSERT_EQ(0, pthread_create(&threads[i][j], NULL,
						    fns[j], &races[i]));
	}
	sleep_ms(1000);
	for (i = 0; i < 2; i++)
		races[i].stop = true;
	for (i = 0; i < 2; i++) {
		for (j = 0; j < ARRAY_SIZE(fns); j++) {
			ASSERT_EQ(0, pthread_join(threads[i][j], NULL));
			EXPECT_LT(0, races[i].rounds[j]);
		}
		EXPECT_EQ(0, races[i].bad);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, mock_stats(DEV(i)).bonds);
	EXPECT_EQ(0, mock_stats(DEV(0)).domains);
	test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_dma(DEV(2), self->pasid, VA_A, self->page);
}

/*
 * A bind takes long. An invalidation that is not about it goes on, whichever way it
 * is asked for; one that may be about it comes after it, and is not left out.
 */
TEST_F(devices, invalidation_beside_bind)
{
	struct iommu_cache_invalidate_info everything = inv_domain(IOTLB);
	struct iommu_cache_invalidate_info infos[] = {
		inv_pasid(IOTLB, self->pasid),
		inv_addr(IOTLB, self->pasid, VA_A, SZ_4K, 1),
		inv_pasid(IOTLB, self->pasid),
		inv_domain(IOTLB),
		inv_domain(IOTLB),
	};
	const struct scope scopes[] = {
		self->scope,
		self->scope,
		device_scope(&self->vmm, 1),
		device_scope(&self->vmm, 1),
		device_scope(&self->vmm, 2),
	};
	struct call_thread bind, invs[ARRAY_SIZE(infos)], all;
	struct iommu_gpasid_bind_data data;
	unsigned int i;
	__u32 pasid;
	__u64 page;

	test_cmd_pasid_alloc(self->vmm.container, 1, UINT_MAX, &pasid);
	test_cmd_bind(device_scope(&self->vmm, 1), &self->pt, self->pasid);
	test_dma(DEV(1), self->pasid, VA_A, self->page);

	data = bind_data(&self->pt, pasid);
	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 1);
	ASSERT_EQ(0, call_start(&bind, device_scope(&self->vmm, 0),
				OP_BIND_PGTBL, &data, sizeof(data)));
	EXPECT_TRUE(bind_is_held(DEV(0)));
	test_dma(DEV(0), pasid, VA_A, self->page);

	page = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, page);
	for (i = 0; i < ARRAY_SIZE(infos); i++) {
		ASSERT_EQ(0, call_start(&invs[i], scopes[i], OP_INVALIDATE,
					&infos[i], infos[i].argsz));
		EXPECT_TRUE(call_is_back(&invs[i], WAIT_MS));
	}
	test_dma(DEV(1), self->pasid, VA_A, page);
	test_dma(DEV(0), pasid, VA_A, self->page);

	ASSERT_EQ(0, call_start(&all, self->scope, OP_INVALIDATE, &everything,
				everything.argsz));
	EXPECT_FALSE(call_is_back(&all, 200));

	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 0);
	EXPECT_EQ(0, call_end(&bind));
	for (i = 0; i < ARRAY_SIZE(infos); i++)
		EXPECT_EQ(0, call_end(&invs[i]));
	EXPECT_EQ(0, call_end(&all));
	test_dma(DEV(0), pasid, VA_A, page);
}

static int group_leaves(void *group)
{
	close_fd(group);
	return 0;
}

/* Also a device that is in no container */
static int others_come_and_go(void *arg)
{
	const unsigned int plugged = (1 << MOCK_NR_DEVICES) - 1;

	return container_comes_and_goes(arg) ?:
		param_set(PARAM_MOCK("plugged"), plugged & ~(1 << 4)) ?:
		param_set(PARAM_MOCK("plugged"), plugged);
}

/* A container that waits for hardware makes nobody else wait. */
TEST_F(devices, others_beside_bind)
{
	struct iommu_gpasid_bind_data data = bind_data(&self->pt, self->pasid);
	struct beside leaves, others;
	struct call_thread bind;

	close_fd(&DEV(1));
	close_fd(&DEV(2));
	close_fd(&self->vmm.group[2]);
	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 1);
	ASSERT_EQ(0, call_start(&bind, device_scope(&self->vmm, 0),
				OP_BIND_PGTBL, &data, sizeof(data)));
	EXPECT_TRUE(bind_is_held(DEV(0)));

	/* A group that leaves the same container has to wait */
	ASSERT_EQ(0, beside_start(&leaves, group_leaves, &self->vmm.group[1]));
	EXPECT_FALSE(beside_is_done(&leaves, 200));
	ASSERT_EQ(0, beside_start(&others, others_come_and_go, NULL));
	EXPECT_TRUE(beside_is_done(&others, WAIT_MS));
	EXPECT_FALSE(beside_is_done(&leaves, 0));

	test_cmd_inject(DEV(0), MOCK_INJECT_BIND_HELD, 0);
	EXPECT_EQ(0, call_end(&bind));
	EXPECT_EQ(0, beside_end(&leaves));
	EXPECT_EQ(0, beside_end(&others));
	test_dma(DEV(0), self->pasid, VA_A, self->page);
}

/* ---------------------------------------------------------------------
 * The same hardware under iommufd, with the same guest: side by side
 */
#define side_by_side_test	FIXTURE_DATA(side_by_side)

FIXTURE(side_by_side)
{
	struct vmm vmm;
	struct guest_pt pt;
	__u64 page, page2;
	/* The device that iommufd has, the domain of its guest's page table */
	int iommufd;
	int cdev;
	__u32 dev_id;
	__u32 ioas_id;
	__u32 nested_id;
};

static int open_cdev(int n)
{
	char path[128];
	int i, fd;

	/* vfio-dev/vfioM has no fixed number */
	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path),
			 "/sys/bus/platform/devices/iommu-uapi-mock.%d/vfio-dev/vfio%d",
			 n, i);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		return fd;
	}
	errno = ENOENT;
	return -1;
}

/*
 * Give device 1 to iommufd, with the same memory and the same page table of the
 * guest as device 0 has. Returns -1 with ENOTTY if this process has no iommufd:
 * it does not serve 32-bit ones.
 */
static int attach_to_iommufd(side_by_side_test *self, __u32 dev_id)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)self->vmm.ram,
		.length = GUEST_RAM_SIZE,
		.iova = GUEST_RAM,
	};
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id,
	};
	struct iommu_hwpt_vtd_s1 s1 = {
		.addr_width = 48,
		.pgtbl_addr = self->pt.root,
	};
	struct iommu_hwpt_alloc nested = {
		.size = sizeof(nested),
		.dev_id = dev_id,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(s1),
		.data_uptr = (uintptr_t)&s1,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};

	if (ioctl(self->iommufd, IOMMU_IOAS_ALLOC, &ioas))
		return -1;
	self->ioas_id = ioas.out_ioas_id;
	map.ioas_id = ioas.out_ioas_id;
	parent.pt_id = ioas.out_ioas_id;
	if (ioctl(self->iommufd, IOMMU_IOAS_MAP, &map) ||
	    ioctl(self->iommufd, IOMMU_HWPT_ALLOC, &parent))
		return -1;
	nested.pt_id = parent.out_hwpt_id;
	if (ioctl(self->iommufd, IOMMU_HWPT_ALLOC, &nested))
		return -1;
	self->nested_id = nested.out_hwpt_id;
	attach.pt_id = nested.out_hwpt_id;
	return ioctl(self->cdev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

FIXTURE_SETUP(side_by_side)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	if (!mock_present())
		SKIP(return, "no mock hardware");
	params_default(_metadata);
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 0));
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	self->page2 = guest_page(&self->vmm);
	test_cmd_bind(device_scope(&self->vmm, 0), &self->pt, NO_PASID);

	self->cdev = -1;
	self->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (self->iommufd < 0)
		SKIP(return, "no iommufd");
	self->cdev = open_cdev(1);
	if (self->cdev < 0)
		SKIP(return, "no VFIO device nodes");
	bind.iommufd = self->iommufd;
	ASSERT_DONE(ioctl(self->cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	self->dev_id = bind.out_devid;
}

FIXTURE_TEARDOWN(side_by_side)
{
	close_fd(&self->cdev);
	close_fd(&self->iommufd);
	vmm_close(&self->vmm);
	params_restore();
}

static int iommufd_invalidate(int iommufd, __u32 hwpt_id, __u64 addr,
			      __u64 npages)
{
	struct iommu_hwpt_vtd_s1_invalidate entry = {
		.addr = addr,
		.npages = npages,
	};
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv),
		.hwpt_id = hwpt_id,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.data_uptr = (uintptr_t)&entry,
		.entry_len = sizeof(entry),
		.entry_num = 1,
	};

	return ioctl(iommufd, IOMMU_HWPT_INVALIDATE, &inv);
}

/* Both do the same, and it is @_status */
#define test_same(_status, _flags, va)					\
	({								\
		__u64 _a = 0, _b = 0;					\
		int _status_a, _status_b;				\
									\
		_status_a = mock_dma(DEV(0), _flags, NO_PASID, va, &_a,	\
				     sizeof(_a));			\
		_status_b = mock_dma(self->cdev, _flags, NO_PASID, va,	\
				     &_b, sizeof(_b));			\
		EXPECT_EQ(_status, _status_a);				\
		EXPECT_EQ(_status_a, _status_b);			\
		EXPECT_EQ(_a, _b);					\
	})

TEST_F(side_by_side, dma_and_invalidation)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.iova = GUEST_RAM,
		.length = GUEST_RAM_SIZE,
	};
	__u64 value;

	if (attach_to_iommufd(self, self->dev_id)) {
		ASSERT_EQ(ENOTTY, errno);
		SKIP(return, "no iommufd for 32-bit processes");
	}

	guest_write(&self->vmm, self->page, fresh_value());
	guest_write(&self->vmm, self->page2, fresh_value());
	guest_map(&self->pt, VA_A, self->page);
	guest_map_level(&self->pt, VA_B, self->page2, VTD_RO, 1);

	test_same(MOCK_DMA_OK, 0, VA_A);
	test_same(MOCK_DMA_OK, MOCK_DMA_WRITE, VA_A);
	test_same(MOCK_DMA_OK, 0, VA_B);
	test_same(MOCK_DMA_ABORT_S1, MOCK_DMA_WRITE, VA_B);
	test_same(MOCK_DMA_ABORT_S1, 0, VA_UNMAPPED);
	test_same(MOCK_DMA_ABORT_S1, 0, self->page);
	test_same(MOCK_DMA_ABORT_S1, MOCK_DMA_PRIV, VA_A);
	test_same(MOCK_DMA_ABORT_S1, 0, 1ULL << 50);
	/* What one writes the other reads */
	test_dma_write(DEV(0), NO_PASID, VA_A, self->page);
	test_same(MOCK_DMA_OK, 0, VA_A);
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page);

	/* Stale in the same way, and fresh when told so, each by its own way */
	guest_map(&self->pt, VA_A, self->page2);
	test_dma_read(DEV(0), NO_PASID, VA_A, self->page);
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page);
	test_cmd_inv(device_scope(&self->vmm, 0),
		     inv_addr(IOTLB, NO_PASID, VA_A, SZ_4K, 1));
	test_dma_read(DEV(0), NO_PASID, VA_A, self->page2);
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page);
	ASSERT_DONE(iommufd_invalidate(self->iommufd, self->nested_id, VA_A,
				       1));
	test_same(MOCK_DMA_OK, 0, VA_A);
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page2);

	guest_map(&self->pt, VA_A, self->page);
	test_dma_read(DEV(0), NO_PASID, VA_A, self->page2);
	ASSERT_DONE(iommufd_invalidate(self->iommufd, self->nested_id, 0,
				       UINT64_MAX));
	test_dma_read(DEV(0), NO_PASID, VA_A, self->page2);
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page);
	test_cmd_inv(device_scope(&self->vmm, 0), inv_domain(IOTLB));
	test_same(MOCK_DMA_OK, 0, VA_A);

	/* And both stop when their stage 2 does */
	ASSERT_DONE(vmm_unmap_ram(&self->vmm));
	EXPECT_EQ(MOCK_DMA_ABORT_S2, mock_dma_read(DEV(0), 0, NO_PASID, VA_A,
						   &value));
	test_dma_read(self->cdev, NO_PASID, VA_A, self->page);
	unmap.ioas_id = self->ioas_id;
	ASSERT_DONE(ioctl(self->iommufd, IOMMU_IOAS_UNMAP, &unmap));
	test_same(MOCK_DMA_ABORT_S2, 0, VA_A);
}

/* A device of iommufd has no container: none of the new calls is its own */
TEST_F(side_by_side, no_features_under_iommufd)
{
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	struct scope dev = { .fd = self->cdev, .device = true };

	EXPECT_ERRNO(ENOTTY, _test_cmd_get_device_info(self->cdev, &info,
						       sizeof(info)));
	EXPECT_ERRNO(ENOTTY, fault_open(self->cdev));
	test_err_bind(ENOTTY, dev, &self->pt, NO_PASID);
	test_err_inv(ENOTTY, dev, inv_domain(IOTLB));
}

TEST_HARNESS_MAIN
