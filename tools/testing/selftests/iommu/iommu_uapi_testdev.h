/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "pcie-dma-testdev" device, bound to vfio-pci: a PCI Express endpoint
 * whose channels copy up to 4 KiB between the bus and a buffer, with and without
 * PASID, directly or with ATS and a translation cache (ATC) of the device, and
 * send page requests. The device comes with the project's patches for QEMU;
 * docs/specs/pcie-dma-testdev.rst there describes it.
 *
 * A channel finishes within the write that starts it, unless it waits for the
 * response to a page request.
 */
#ifndef __SELFTEST_IOMMU_UAPI_TESTDEV
#define __SELFTEST_IOMMU_UAPI_TESTDEV

#include "iommu_uapi_pci.h"

#define TESTDEV_MAX		4
#define TESTDEV_PCI_ID		"0x11ea"

/* BAR 0: of the device */
#define TESTDEV_ID		0x00
#define TESTDEV_ID_VALUE	0x41544d44
#define TESTDEV_IRQ		0x08
#define TESTDEV_ATC_USED	0x0c
#define TESTDEV_ATC_INVALS	0x10
#define TESTDEV_INV_IGNORE	0x14
#define TESTDEV_BAR_SIZE	0x1000

/* BAR 0: of channel @n */
#define TESTDEV_CHANNEL(n)	(0x100 + 0x40 * (n))
#define TESTDEV_ADDR		0x00
#define TESTDEV_LEN		0x08
#define TESTDEV_BUF		0x0c
#define TESTDEV_PASID		0x10
#define TESTDEV_CTRL		0x14
#define TESTDEV_STATUS		0x18
#define TESTDEV_PRGI		0x1c
#define TESTDEV_NR_CHANNELS	8

/* TESTDEV_CTRL */
#define TESTDEV_RUN		(1 << 0)
#define TESTDEV_TO_BUS		(1 << 1)	/* else from the bus */
#define TESTDEV_WITH_PASID	(1 << 2)
#define TESTDEV_ATS		(1 << 3)	/* else untranslated requests */
#define TESTDEV_PRI		(1 << 4)	/* request pages, with ATS */
#define TESTDEV_PRQ_ONLY	(1 << 5)	/* a page request group, no DMA */
#define TESTDEV_PRIV		(1 << 6)	/* privileged mode */

/* TESTDEV_STATUS */
enum testdev_status {
	TESTDEV_IDLE,
	TESTDEV_BUSY,
	TESTDEV_DONE,
	/* The bus answered with an error */
	TESTDEV_ABORTED,
	/* ATS gave no permission, and the channel was not to ask for it */
	TESTDEV_NO_ACCESS,
	/* The response to the page request was "invalid" or "failure" */
	TESTDEV_INVALID,
	TESTDEV_FAILURE,
	/* The response is still to come */
	TESTDEV_WAITING,
	/* Not enabled in config space, no room in the queue, bad values */
	TESTDEV_REFUSED,
};

/* BAR 2: the buffer */
#define TESTDEV_BUF_SIZE	0x10000

struct testdev {
	struct pci_dev pci;
	volatile uint8_t *buf;
};

/* PCI addresses of the machine's test devices, in order */
static char testdev_names[TESTDEV_MAX][32];
static int testdev_count;

/* Find the devices; returns how many are bound to vfio-pci behind an IOMMU */
static int testdev_find(void)
{
	return pci_list_to_vfio(TESTDEV_PCI_ID, testdev_names, TESTDEV_MAX,
				&testdev_count);
}

static int testdev_start(struct testdev *dev, int fd)
{
	dev->buf = NULL;
	if (pci_start(&dev->pci, fd, TESTDEV_BAR_SIZE))
		return -1;
	if (pci_read32(&dev->pci, TESTDEV_ID) != TESTDEV_ID_VALUE) {
		errno = ENODEV;
		return -1;
	}
	dev->buf = pci_map(fd, VFIO_PCI_BAR2_REGION_INDEX, TESTDEV_BUF_SIZE);
	return dev->buf ? 0 : -1;
}

static void testdev_stop(struct testdev *dev)
{
	if (dev->buf)
		munmap((void *)dev->buf, TESTDEV_BUF_SIZE);
	dev->buf = NULL;
	pci_stop(&dev->pci);
}

static uint32_t testdev_read(struct testdev *dev, unsigned int reg)
{
	return pci_read32(&dev->pci, reg);
}

static void testdev_write(struct testdev *dev, unsigned int reg, uint32_t value)
{
	pci_write32(&dev->pci, reg, value);
}

static uint32_t testdev_status(struct testdev *dev, unsigned int channel)
{
	uint32_t status = testdev_read(dev, TESTDEV_CHANNEL(channel) +
					    TESTDEV_STATUS);

	/* What it has written to memory is read after this */
	__sync_synchronize();
	return status;
}

/* Page request group that the channel has sent last */
static uint32_t testdev_prgi(struct testdev *dev, unsigned int channel)
{
	return testdev_read(dev, TESTDEV_CHANNEL(channel) + TESTDEV_PRGI);
}

/*
 * Start a channel with offset @buf of the buffer; @len is in bytes, or pages with
 * TESTDEV_PRQ_ONLY. Returns the status, which is final unless it is WAITING, or
 * BUSY: the response came just now.
 */
static uint32_t testdev_begin(struct testdev *dev, unsigned int channel,
			      uint32_t flags, uint32_t pasid, uint64_t addr,
			      uint32_t buf, uint32_t len)
{
	unsigned int base = TESTDEV_CHANNEL(channel);

	if (pasid != NO_PASID) {
		testdev_write(dev, base + TESTDEV_PASID, pasid);
		flags |= TESTDEV_WITH_PASID;
	}
	pci_write64(&dev->pci, base + TESTDEV_ADDR, addr);
	testdev_write(dev, base + TESTDEV_LEN, len);
	testdev_write(dev, base + TESTDEV_BUF, buf);
	/* The device reads memory that was written before this */
	__sync_synchronize();
	testdev_write(dev, base + TESTDEV_CTRL, flags | TESTDEV_RUN);
	return testdev_status(dev, channel);
}

/* Wait for what the channel does for a bounded time; returns its status then */
static uint32_t testdev_end(struct testdev *dev, unsigned int channel)
{
	uint32_t status = testdev_status(dev, channel);
	int i;

	for (i = 0; i < WAIT_MS / 2; i++) {
		if (status != TESTDEV_WAITING && status != TESTDEV_BUSY)
			break;
		sleep_ms(2);
		status = testdev_status(dev, channel);
	}
	return status;
}

/* A transfer from begin to end, on channel 0 */
static uint32_t testdev_dma(struct testdev *dev, uint32_t flags, uint32_t pasid,
			    uint64_t addr, uint32_t buf, uint32_t len)
{
	testdev_begin(dev, 0, flags, pasid, addr, buf, len);
	return testdev_end(dev, 0);
}

/* Raise MSI-X vector @vector; true if it arrives at its eventfd */
static bool testdev_irq_arrives(struct testdev *dev, int vector, int fd)
{
	testdev_write(dev, TESTDEV_IRQ, vector);
	return pci_irq_wait(fd);
}

#endif /* __SELFTEST_IOMMU_UAPI_TESTDEV */
