// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API on VT-d: page requests, faults, and ends: descriptors closed,
 * processes killed, devices unplugged. See the head of iommu_uapi_vtd.h.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "iommu_uapi_vtd.h"

/* ---------------------------------------------------------------------
 * Page requests and faults
 */
FIXTURE(vtd_fault)
{
	struct guest g;
	struct requester req;
	int fault;
	/* As records and responses name the binding */
	__u32 name;
	__u32 prq_flags, event_flags, resp_flags;
};

FIXTURE_VARIANT(vtd_fault)
{
	bool no_pasid, gpasid;
};

FIXTURE_VARIANT_ADD(vtd_fault, pasid)
{
};

FIXTURE_VARIANT_ADD(vtd_fault, gpasid)
{
	.gpasid = true,
};

FIXTURE_VARIANT_ADD(vtd_fault, no_pasid)
{
	.no_pasid = true,
};

FIXTURE_SETUP(vtd_fault)
{
	__u32 pasid = NO_PASID;

	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	self->fault = fault_open(self->g.vmm.dev[0]);
	ASSERT_LE(0, self->fault);
	self->event_flags = IOMMU_FAULT_UNRECOV_ADDR_VALID;
	if (!variant->no_pasid) {
		ASSERT_DONE(guest_pasid(&self->g, &pasid));
		self->prq_flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
		self->event_flags |= IOMMU_FAULT_UNRECOV_PASID_VALID;
	}
	self->req = requester(&self->g, 0, pasid, TESTDEV_ATS | TESTDEV_PRI);
	self->name = pasid;
	if (variant->gpasid) {
		self->name = pasid + 77;
		self->prq_flags |= IOMMU_FAULT_PAGE_REQUEST_GPASID;
		self->event_flags |= IOMMU_FAULT_UNRECOV_GPASID;
		self->resp_flags = IOMMU_PAGE_RESP_GPASID;
		test_cmd_bind_gpasid(DEVICE, &self->g.pt, pasid, self->name);
	} else {
		test_cmd_bind(DEVICE, &self->g.pt, pasid);
	}
}

FIXTURE_TEARDOWN(vtd_fault)
{
	close_fd(&self->fault);
	guest_close(&self->g);
}

/* The channel begins something, and waits for a page */
#define test_waits(channel, flags, va, len)				\
	EXPECT_EQ(TESTDEV_WAITING,					\
		  testdev_begin(self->req.dev, channel, flags,		\
				self->req.pasid, va,			\
				(channel) * SZ_4K, len))

/* The next record is this page's request, in the channel's last group */
#define test_requested(channel, va, _perm, last)			\
	test_fault_page_request(self->fault,				\
				(self->prq_flags &			\
				 IOMMU_FAULT_PAGE_REQUEST_GPASID) |	\
				((last) ?				\
				 IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0),\
				self->name,				\
				testdev_prgi(self->req.dev, channel),	\
				va, _perm)

#define test_cmd_answer(channel, code)					\
	test_cmd_respond(self->fault, self->resp_flags, self->name,	\
			 testdev_prgi(self->req.dev, channel), code)
#define test_err_answer(_errno, grpid, code)				\
	test_err_respond(_errno, self->fault, self->resp_flags,	\
			 self->name, grpid, code)

/* The page comes, and the transfer goes on */
TEST_F(vtd_fault, served)
{
	struct testdev *dev = self->req.dev;
	__u64 value = fresh_value();
	__u32 grpid;

	*(volatile __u64 *)dev->buf = value;
	test_waits(0, self->req.flags | TESTDEV_TO_BUS, VA_UNMAPPED + 0x128, 8);
	test_requested(0, VA_UNMAPPED, PERM_W, true);
	EXPECT_EQ(TESTDEV_WAITING, testdev_status(dev, 0));
	EXPECT_EQ(0, guest_read(&self->g.vmm, self->g.page[1] + 0x128));
	guest_map(&self->g.pt, VA_UNMAPPED, self->g.page[1]);
	grpid = testdev_prgi(dev, 0);
	test_cmd_answer(0, SUCCESS);
	EXPECT_EQ(TESTDEV_DONE, testdev_end(dev, 0));
	EXPECT_EQ(value, guest_read(&self->g.vmm, self->g.page[1] + 0x128));
	/* Once is enough */
	test_err_answer(ENOENT, grpid, SUCCESS);

	/* The other direction */
	value = fresh_value();
	guest_write(&self->g.vmm, self->g.page[0], value);
	test_waits(0, self->req.flags, VA2, 8);
	test_requested(0, VA2, PERM_R, true);
	guest_map(&self->g.pt, VA2, self->g.page[0]);
	test_cmd_answer(0, SUCCESS);
	EXPECT_EQ(TESTDEV_DONE, testdev_end(dev, 0));
	EXPECT_EQ(value, *(volatile __u64 *)dev->buf);
	/* What the device could ask for is no fault. */
	test_fault_none(self->fault);
}

/* A page that is there, but not for this */
TEST_F(vtd_fault, permission)
{
	struct requester req = self->req;

	guest_map_level(&self->g.pt, VA2, self->g.page[1], VTD_RO, 1);
	test_reads(req, VA2, self->g.page[1]);
	test_waits(0, req.flags | TESTDEV_TO_BUS, VA2, 8);
	test_requested(0, VA2, PERM_W, true);
	guest_map(&self->g.pt, VA2, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_addr(IOTLB | DEV_IOTLB, req.pasid, VA2, SZ_4K,
				      1));
	test_cmd_answer(0, SUCCESS);
	EXPECT_EQ(TESTDEV_DONE, testdev_end(req.dev, 0));
	test_reaches(req, VA2, self->g.page[1]);
}

/* The guest says "success" without having done anything: it is asked again */
TEST_F(vtd_fault, not_served)
{
	struct testdev *dev = self->req.dev;
	int i;

	test_waits(0, self->req.flags, VA_UNMAPPED, 8);
	for (i = 0; i < 3; i++) {
		test_requested(0, VA_UNMAPPED, PERM_R, true);
		if (i == 2)
			guest_map(&self->g.pt, VA_UNMAPPED, self->g.page[1]);
		test_cmd_answer(0, SUCCESS);
	}
	EXPECT_EQ(TESTDEV_DONE, testdev_end(dev, 0));
}

TEST_F(vtd_fault, refused)
{
	struct testdev *dev = self->req.dev;

	test_waits(0, self->req.flags, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_R, true);
	test_cmd_answer(0, INVALID);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 0));

	/* The kernel refuses what can be in no table */
	testdev_begin(dev, 0, TESTDEV_PRQ_ONLY, self->req.pasid, VA | 1ULL << 62,
		      0, 1);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 0));
	test_fault_none(self->fault);

	/* Other names have nothing pending, nor is that a response */
	test_waits(0, self->req.flags | TESTDEV_TO_BUS, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_W, true);
	test_err_respond(ENOENT, self->fault, 0, 4711, testdev_prgi(dev, 0),
			 SUCCESS);
	test_err_answer(ENOENT, testdev_prgi(dev, 0) ^ 1, SUCCESS);
	test_err_answer(EINVAL, testdev_prgi(dev, 0), 3);
	EXPECT_EQ(TESTDEV_WAITING, testdev_status(dev, 0));
	test_cmd_answer(0, FAILURE);
	EXPECT_EQ(TESTDEV_FAILURE, testdev_end(dev, 0));
}

/* What a table of five levels can have, whatever the host's own has */
TEST_F(vtd_fault, wide_address)
{
	const __u64 va = 0x0012345678901000ULL;

	test_waits(0, TESTDEV_PRQ_ONLY, va, 1);
	test_requested(0, va, PERM_R, true);
	test_cmd_answer(0, INVALID);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(self->req.dev, 0));
}

/* Several pages in one group, several groups at once, answered as they come */
TEST_F(vtd_fault, groups)
{
	static const unsigned int order[] = { 2, 7, 0, 5, 3, 1, 6, 4 };
	struct testdev *dev = self->req.dev;
	unsigned int c, p, i;

	for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
		test_waits(c, TESTDEV_PRQ_ONLY | (c & 1 ? TESTDEV_TO_BUS : 0),
			   VA_UNMAPPED + c * SZ_2M, 4 * c + 1);
	for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
		for (p = 0; p < 4 * c + 1; p++)
			test_requested(c, VA_UNMAPPED + c * SZ_2M + p * SZ_4K,
				       c & 1 ? PERM_W : PERM_R, p == 4 * c);
	test_fault_none(self->fault);
	for (i = 0; i < TESTDEV_NR_CHANNELS; i++) {
		c = order[i];
		EXPECT_EQ(TESTDEV_WAITING, testdev_status(dev, c));
		test_cmd_answer(c, i & 1 ? INVALID : SUCCESS);
		EXPECT_EQ(i & 1 ? TESTDEV_INVALID : TESTDEV_DONE,
			  testdev_end(dev, c));
	}
	for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
		test_err_answer(ENOENT, testdev_prgi(dev, c), SUCCESS);
}

/* As many requests as the fault file has room for */
TEST_F(vtd_fault, many)
{
	unsigned int c, p;

	for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
		test_waits(c, TESTDEV_PRQ_ONLY, VA_UNMAPPED, 32);
	for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
		for (p = 0; p < 32; p++)
			test_requested(c, VA_UNMAPPED + p * SZ_4K, PERM_R,
				       p == 31);
	for (c = TESTDEV_NR_CHANNELS; c--;) {
		test_cmd_answer(c, SUCCESS);
		EXPECT_EQ(TESTDEV_DONE, testdev_end(self->req.dev, c));
	}
}

/* The kernel answers what nobody is there to answer */
TEST_F(vtd_fault, nobody_answers)
{
	struct testdev *dev = self->req.dev;
	unsigned int c;

	/* Closed: one that was read, one that was not, one in the middle */
	test_waits(0, self->req.flags, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_R, true);
	test_waits(1, self->req.flags, VA_UNMAPPED, 8);
	test_waits(2, TESTDEV_PRQ_ONLY, VA_UNMAPPED, 5);
	close_fd(&self->fault);
	for (c = 0; c < 3; c++)
		EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, c));

	/* No file */
	testdev_begin(dev, 0, self->req.flags, self->req.pasid, VA_UNMAPPED, 0,
		      8);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 0));

	/* A new one has nothing of all that */
	self->fault = fault_open(self->g.vmm.dev[0]);
	ASSERT_LE(0, self->fault);
	test_fault_none(self->fault);
	test_waits(0, self->req.flags, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_R, true);

	/* Unbound */
	test_waits(1, self->req.flags | TESTDEV_TO_BUS, VA_UNMAPPED, 8);
	test_waits(2, TESTDEV_PRQ_ONLY, VA_UNMAPPED, 5);
	test_cmd_unbind(DEVICE, self->req.pasid);
	for (c = 0; c < 3; c++)
		EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, c));
	test_fault_none(self->fault);
	test_err_answer(ENOENT, testdev_prgi(dev, 0), SUCCESS);

	/* And the next table's requests are its own */
	test_cmd_bind(DEVICE, &self->g.pt, self->req.pasid);
	self->name = self->req.pasid;
	self->prq_flags &= ~IOMMU_FAULT_PAGE_REQUEST_GPASID;
	self->resp_flags = 0;
	test_waits(0, self->req.flags, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_R, true);
	test_cmd_answer(0, INVALID);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 0));
}

/* To which CPUs IOMMUs tell of page requests: a mask as in /proc/irq */
static int set_prq_cpus(const char *mask)
{
	char line[512], path[64];
	int fd, done = 0, rc = 0;
	FILE *interrupts;

	interrupts = fopen("/proc/interrupts", "r");
	if (!interrupts)
		return -errno;
	while (!rc && fgets(line, sizeof(line), interrupts)) {
		if (!strstr(line, "-prq\n"))
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity",
			 atoi(line));
		fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, mask, strlen(mask)) < 0)
			rc = -errno;
		close_fd(&fd);
		done++;
	}
	fclose(interrupts);
	return rc ?: done ? 0 : -ENOENT;
}

/* On CPU 0 ahead of the threads of interrupts, or as anybody again */
static int set_urgent(bool urgent)
{
	struct sched_param param = {
		.sched_priority = urgent ?
				  sched_get_priority_max(SCHED_FIFO) : 0,
	};
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (urgent && sched_setaffinity(0, sizeof(cpus), &cpus))
		return -errno;
	return sched_setscheduler(0, urgent ? SCHED_FIFO : SCHED_OTHER,
				  &param) ? -errno : 0;
}

/*
 * Requests that are on their way when the binding goes: none is left waiting,
 * and none comes to the next. The thread that takes them off the queue runs
 * when unbind waits for it, as this test leaves it no other time on its CPU.
 */
TEST_F(vtd_fault, drained)
{
	struct testdev *dev = self->req.dev;
	char all_cpus[256] = "";
	unsigned int round, c;
	int fd;

	fd = open("/proc/irq/default_smp_affinity", O_RDONLY);
	ASSERT_LT(0, read(fd, all_cpus, sizeof(all_cpus) - 1));
	close_fd(&fd);
	ASSERT_EQ(0, set_prq_cpus("1"));
	for (round = 0; round < 10; round++) {
		/* The thread goes to its CPU when it runs there next */
		test_waits(0, self->req.flags, VA_UNMAPPED, 8);
		test_requested(0, VA_UNMAPPED, PERM_R, true);
		test_cmd_answer(0, INVALID);
		EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 0));

		ASSERT_EQ(0, set_urgent(true));
		for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
			test_waits(c, c & 1 ? TESTDEV_PRQ_ONLY :
				   self->req.flags, VA_UNMAPPED, 8);
		test_cmd_unbind(DEVICE, self->req.pasid);
		test_cmd_bind(DEVICE, &self->g.pt, self->req.pasid);
		ASSERT_EQ(0, set_urgent(false));
		for (c = 0; c < TESTDEV_NR_CHANNELS; c++)
			EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, c));
		test_fault_none(self->fault);

		self->name = self->req.pasid;
		self->prq_flags &= ~IOMMU_FAULT_PAGE_REQUEST_GPASID;
		self->resp_flags = 0;
	}
	EXPECT_EQ(0, set_prq_cpus(all_cpus));
	test_reaches(self->req, VA, self->g.page[0]);
}

#define test_faults(write, va, _reason)					\
	({								\
		struct iommu_fault _rec;				\
									\
		ASSERT_DONE(cause_fault(self->fault, self->req, write,	\
					va, &_rec));			\
		EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, _rec.type);		\
		EXPECT_EQ(0, _rec.padding);				\
		EXPECT_EQ(_reason, _rec.event.reason);			\
		EXPECT_EQ(self->event_flags, _rec.event.flags &		\
			  ~IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID);	\
		EXPECT_EQ(self->name == NO_PASID ? 0 : self->name,	\
			  _rec.event.pasid);				\
		EXPECT_EQ((write) ? PERM_W : PERM_R, _rec.event.perm);	\
		/* Hardware tells the page */				\
		EXPECT_EQ((va) & ~(SZ_4K - 1), _rec.event.addr);	\
	})

TEST_F(vtd_fault, unrecoverable)
{
	struct requester req = with_flags(self->req, 0);
	__u64 *page = self->g.page, value;

	self->req = req;
	test_faults(false, VA_UNMAPPED + 0x128, IOMMU_FAULT_REASON_PTE_FETCH);
	test_faults(true, VA_UNMAPPED + SZ_4K, IOMMU_FAULT_REASON_PTE_FETCH);
	/* In a table on the way */
	test_faults(true, VA_UNMAPPED + SZ_1G, IOMMU_FAULT_REASON_PTE_FETCH);
	/* Bits that must be zero, in a large leaf */
	guest_map_level(&self->g.pt, VA_UNMAPPED + 2 * SZ_1G,
			GUEST_BIG_PAGE | 1ULL << 13, VTD_RW, 2);
	test_faults(false, VA_UNMAPPED + 2 * SZ_1G,
		    IOMMU_FAULT_REASON_PTE_FETCH);
	/* A table that is not in guest memory */
	guest_write(&self->g.vmm,
		    guest_pt_entry(&self->g.pt, VA_UNMAPPED + 3 * SZ_1G, 2),
		    GPA_HOLE | VTD_RW);
	test_faults(false, VA_UNMAPPED + 3 * SZ_1G,
		    IOMMU_FAULT_REASON_WALK_EABT);
	guest_map_level(&self->g.pt, VA2 + SZ_4K, page[1], VTD_RO, 1);
	test_faults(true, VA2 + SZ_4K, IOMMU_FAULT_REASON_PERMISSION);
	guest_map_level(&self->g.pt, VA2 + 2 * SZ_4K, page[1], VTD_RW & ~VTD_U,
			1);
	test_faults(false, VA2 + 2 * SZ_4K, IOMMU_FAULT_REASON_PERMISSION);
	test_faults(true, VA_HIGH & 0x0000ffffffffffffULL,
		    IOMMU_FAULT_REASON_OOR_ADDRESS);
	test_faults(false, VA | 1ULL << 62, IOMMU_FAULT_REASON_OOR_ADDRESS);
	test_reaches(req, VA, page[0]);

	/* Guest memory that is not there: stage 2's fault is the host's */
	guest_map(&self->g.pt, VA2 + 3 * SZ_4K, GPA_HOLE);
	EXPECT_TRUE(is_stopped(device_write(req, VA2 + 3 * SZ_4K, 0)));
	EXPECT_TRUE(is_stopped(device_read(req, VA2 + 3 * SZ_4K, &value)));
	/* A request for a translation is an attempt */
	EXPECT_EQ(TESTDEV_NO_ACCESS,
		  device_read(with_flags(req, TESTDEV_ATS), VA_UNMAPPED + SZ_2M,
			      &value));
	sleep_ms(50);
	test_fault_none(self->fault);
	test_faults(false, VA_UNMAPPED, IOMMU_FAULT_REASON_PTE_FETCH);

	/* A PASID that has no table is among what the guest should know of */
	self->req.pasid = 4711;
	self->name = 4711;
	self->event_flags = IOMMU_FAULT_UNRECOV_ADDR_VALID |
			    IOMMU_FAULT_UNRECOV_PASID_VALID;
	test_faults(true, VA, IOMMU_FAULT_REASON_PASID_INVALID);

	/* No binding, no faults of a guest */
	test_cmd_unbind(DEVICE, req.pasid);
	EXPECT_TRUE(is_stopped(device_read(req, VA_UNMAPPED, &value)));
	sleep_ms(50);
	test_fault_none(self->fault);
}

/* Each binding's faults have the guest's number for it, not another one's. */
TEST_F(vtd_fault, two_bound)
{
	__u32 other, gpasid = 4712;

	ASSERT_DONE(guest_pasid(&self->g, &other));
	test_cmd_bind_gpasid(DEVICE, &self->g.pt, other, gpasid);
	self->req = with_flags(self->req, 0);
	test_faults(true, VA_UNMAPPED, IOMMU_FAULT_REASON_PTE_FETCH);
	self->req.pasid = other;
	self->name = gpasid;
	self->event_flags |= IOMMU_FAULT_UNRECOV_PASID_VALID |
			     IOMMU_FAULT_UNRECOV_GPASID;
	test_faults(false, VA_UNMAPPED, IOMMU_FAULT_REASON_PTE_FETCH);
}

/* More than anybody reads: what is lost is counted, and nothing waits for it. */
TEST_F(vtd_fault, flood)
{
	struct requester req = with_flags(self->req, 0);
	unsigned int records = 0, i, j;
	struct iommu_fault record;
	__u64 lost = 0, value;

	self->req = req;
	/* The log has room for one or a few: let the host read it in between */
	for (i = 0; i < 400; i++) {
		for (j = 0; j < 8; j++)
			device_read(req, VA_UNMAPPED + j * SZ_4K, &value);
		sleep_ms(1);
	}
	test_reaches(req, VA, self->g.page[0]);
	set_nonblock(self->fault, true);
	while (read(self->fault, &record, sizeof(record)) == sizeof(record)) {
		records++;
		if (record.type == IOMMU_FAULT_LOST)
			lost += record.lost.unrecoverable;
	}
	TH_LOG("%u records, %llu lost", records, lost);
	EXPECT_LE(256, records);
	EXPECT_GE(260, records);
	EXPECT_LT(0, lost);
	test_faults(true, VA_UNMAPPED, IOMMU_FAULT_REASON_PTE_FETCH);
	/* Page requests have had nothing to do with it */
	test_waits(0, TESTDEV_ATS | TESTDEV_PRI, VA_UNMAPPED, 8);
	test_requested(0, VA_UNMAPPED, PERM_R, true);
	test_cmd_answer(0, INVALID);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(req.dev, 0));
}

/* ---------------------------------------------------------------------
 * Ends
 */
static void open_all(struct __test_metadata *_metadata, struct guest *g,
		     int *fault, __u32 *pasid)
{
	ASSERT_EQ(0, guest_open(g, 0));
	*fault = fault_open(g->vmm.dev[0]);
	ASSERT_LE(0, *fault);
	ASSERT_DONE(guest_pasid(g, pasid));
	test_cmd_bind(container_scope(&g->vmm), &g->pt, *pasid);
	test_cmd_bind(device_scope(&g->vmm, 0), &g->pt, NO_PASID);
	ASSERT_EQ(TESTDEV_WAITING,
		  testdev_begin(&g->dev[0], 1, TESTDEV_ATS | TESTDEV_PRI, *pasid,
				VA_UNMAPPED, 0, 8));
}

enum { FD_DEVICE, FD_FAULT, FD_GROUP, FD_CONTAINER, NR_FDS };

static void close_in_order(struct __test_metadata *_metadata, const int *order)
{
	struct guest g;
	struct requester req;
	int fault, i;
	__u32 pasid;

	open_all(_metadata, &g, &fault, &pasid);
	req = requester(&g, 0, pasid, TESTDEV_ATS);
	for (i = 0; i < NR_FDS; i++) {
		switch (order[i]) {
		case FD_DEVICE:
			/* What is mapped keeps it open */
			testdev_stop(&g.dev[0]);
			close_fd(&g.vmm.dev[0]);
			break;
		case FD_FAULT:
			close_fd(&fault);
			break;
		case FD_GROUP:
			close_fd(&g.vmm.group[0]);
			break;
		case FD_CONTAINER:
			close_fd(&g.vmm.container);
			break;
		}
		if (g.vmm.dev[0] >= 0) {
			test_writes_in(&g.vmm, req, VA, g.page[0]);
			test_writes_in(&g.vmm, with_pasid(req, NO_PASID), VA,
				       g.page[0]);
			EXPECT_EQ(fault < 0 ? TESTDEV_INVALID : TESTDEV_WAITING,
				  fault < 0 ? testdev_end(&g.dev[0], 1) :
					      testdev_status(&g.dev[0], 1));
		} else if (fault >= 0) {
			EXPECT_TRUE(fd_wait(fault, POLLIN, WAIT_MS) & POLLHUP);
		}
	}
	guest_close(&g);
}

FIXTURE(vtd_life)
{
};

FIXTURE_SETUP(vtd_life)
{
	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
}

/* Also if a test did not get that far */
FIXTURE_TEARDOWN(vtd_life)
{
	int i;

	param_write("/sys/bus/pci/rescan", "1");
	for (i = 0; i < testdev_count; i++)
		pci_to_vfio(testdev_names[i]);
}

TEST_F_TIMEOUT(vtd_life, closing_orders, 120)
{
	int a, b, c, tried = 0;

	for (a = 0; a < NR_FDS; a++)
		for (b = 0; b < NR_FDS; b++)
			for (c = 0; c < NR_FDS; c++) {
				int order[] = { a, b, c, 6 - a - b - c };

				if (a == b || b == c || a == c)
					continue;
				close_in_order(_metadata, order);
				ASSERT_EQ(0, _metadata->exit_code) {
					TH_LOG("order: %d %d %d", a, b, c);
				}
				tried++;
			}
	EXPECT_EQ(24, tried);
	check_clean(_metadata, 0);
}

/* What the one who is killed is doing; @seen is memory that it shares with us */
static void busy_child(volatile __u64 *seen, int round)
{
	struct requester req;
	struct guest g;
	__u32 pasid;
	int fault;

	if (guest_open(&g, 0) || guest_pasid(&g, &pasid) ||
	    map_page(&g.vmm, (void *)seen, GPA_HOLE))
		_exit(1);
	fault = fault_open(g.vmm.dev[0]);
	guest_map(&g.pt, VA2, GPA_HOLE);
	if (fault < 0 ||
	    _test_cmd_bind(container_scope(&g.vmm), &g.pt, NO_PASID) ||
	    _test_cmd_bind(device_scope(&g.vmm, 0), &g.pt, pasid))
		_exit(2);
	req = requester(&g, 0, pasid, round & 1 ? TESTDEV_ATS : 0);
	/* A transfer to our memory that waits until the end, and after it */
	*(volatile __u64 *)(g.dev[0].buf + SZ_4K) = 1;
	guest_map(&g.pt, VA_UNMAPPED, 0);
	guest_unmap(&g.pt, VA_UNMAPPED);
	if (testdev_begin(&g.dev[0], 1, TESTDEV_TO_BUS | TESTDEV_ATS |
			  TESTDEV_PRI, pasid, VA_UNMAPPED, SZ_4K, 8) !=
	    TESTDEV_WAITING)
		_exit(3);
	guest_map(&g.pt, VA_UNMAPPED, GPA_HOLE);
	for (;;) {
		if (device_write(req, VA2 + 8, fresh_value()) != TESTDEV_DONE ||
		    _test_cmd_inv(container_scope(&g.vmm),
				  inv_pasid(IOTLB | DEV_IOTLB, pasid)))
			_exit(4);
		if (round & 2 &&
		    (_test_cmd_unbind(device_scope(&g.vmm, 0), NO_PASID) ||
		     _test_cmd_bind(device_scope(&g.vmm, 0), &g.pt, NO_PASID)))
			_exit(5);
	}
}

TEST_F_TIMEOUT(vtd_life, killed_in_dma, 60)
{
	volatile __u64 *seen;
	__u64 value, until;
	int status, round;
	pid_t pid;

	seen = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, seen);
	for (round = 0; round < 4; round++) {
		memset((void *)seen, 0, SZ_4K);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			busy_child(seen, round);
		until = now_ms() + WAIT_MS;
		while (!seen[1] && now_ms() < until)
			sleep_ms(1);
		sleep_ms(20);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("exit status %d", WEXITSTATUS(status));
		}
		value = seen[1];
		EXPECT_NE(0, value);
		/* The one that waited has never gone on */
		EXPECT_EQ(0, seen[0]);
		check_clean(_metadata, 0);
		EXPECT_EQ(0, seen[0]);
		EXPECT_EQ(value, seen[1]);
	}
	munmap((void *)seen, SZ_4K);
}

TEST_F_TIMEOUT(vtd_life, driver_unbound, 60)
{
	device_goes(_metadata, 0, "/sys/bus/pci/drivers/vfio-pci/unbind",
		    testdev_names[0]);
	ASSERT_EQ(0, pci_to_vfio(testdev_names[0]));
	check_clean(_metadata, 0);
}

/* The device behind the port is removed from the machine, and found again. */
TEST_F_TIMEOUT(vtd_life, unplugged, 60)
{
	char path[128];
	int n, round;

	for (n = 0; n < testdev_count && !is_behind_port(n); n++)
		;
	if (n == testdev_count)
		SKIP(return, "no test device behind a port");
	for (round = 0; round < 2; round++) {
		snprintf(path, sizeof(path), PCI_SYSFS "%s/remove",
			 testdev_names[n]);
		device_goes(_metadata, n, path, "1");
		EXPECT_NE(0, access(path, F_OK));
		ASSERT_EQ(0, param_write("/sys/bus/pci/rescan", "1"));
		ASSERT_EQ(0, access(path, F_OK));
		ASSERT_EQ(0, pci_to_vfio(testdev_names[n]));
		check_clean(_metadata, n);
	}
}

TEST_HARNESS_MAIN
