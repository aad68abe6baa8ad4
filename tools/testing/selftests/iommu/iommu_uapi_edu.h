/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "edu" device, bound to vfio-pci: a device that does real DMA, for the
 * tests of the IOMMU user API on emulated IOMMUs. It copies up to 4 KiB between
 * the bus and a buffer of its own, 100 ms after it was told to, and sends an
 * interrupt on request. See docs/specs/edu.rst in QEMU.
 *
 * Start QEMU with -device edu,dma_mask=0xffffffffffffffff, or the device cuts
 * addresses to 28 bits.
 */
#ifndef __SELFTEST_IOMMU_UAPI_EDU
#define __SELFTEST_IOMMU_UAPI_EDU

#include "iommu_uapi_pci.h"

#define EDU_MAX			4

/* Registers in BAR 0 */
#define EDU_RAISE_IRQ		0x60
#define EDU_ACK_IRQ		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_LEN		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_RUN		1
#define EDU_DMA_TO_BUS		2
/* Where the device has its own buffer */
#define EDU_BUF			0x40000
#define EDU_BUF_SIZE		0x1000
#define EDU_BAR_SIZE		0x1000

/* PCI addresses of the machine's edu devices, in order */
static char edu_names[EDU_MAX][32];
static int edu_count;

/* Find the devices; returns how many are bound to vfio-pci behind an IOMMU */
static int edu_find(void)
{
	return pci_list_to_vfio("0x11e8", edu_names, EDU_MAX, &edu_count);
}

static int edu_start(struct pci_dev *edu, int fd)
{
	return pci_start(edu, fd, EDU_BAR_SIZE);
}

static void edu_dma_begin(struct pci_dev *edu, bool to_bus, uint64_t addr,
			  uint32_t buf, uint32_t len)
{
	pci_write64(edu, EDU_DMA_SRC, to_bus ? EDU_BUF + buf : addr);
	pci_write64(edu, EDU_DMA_DST, to_bus ? addr : EDU_BUF + buf);
	pci_write64(edu, EDU_DMA_LEN, len);
	/* The device reads memory that was written before this */
	__sync_synchronize();
	pci_write64(edu, EDU_DMA_CMD,
		    EDU_DMA_RUN | (to_bus ? EDU_DMA_TO_BUS : 0));
}

/* The device does not tell whether the transaction was aborted. */
static int edu_dma_end(struct pci_dev *edu)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (!(pci_read32(edu, EDU_DMA_CMD) & EDU_DMA_RUN)) {
			__sync_synchronize();
			return 0;
		}
		sleep_ms(5);
	}
	errno = ETIMEDOUT;
	return -1;
}

static int edu_dma(struct pci_dev *edu, bool to_bus, uint64_t addr,
		   uint32_t buf, uint32_t len)
{
	edu_dma_begin(edu, to_bus, addr, buf, len);
	return edu_dma_end(edu);
}

/* Raise the interrupt; true if it arrives */
static bool edu_irq_arrives(struct pci_dev *edu, int fd)
{
	bool arrived;

	pci_write32(edu, EDU_RAISE_IRQ, 1);
	arrived = pci_irq_wait(fd);
	pci_write32(edu, EDU_ACK_IRQ, 1);
	return arrived;
}

#endif /* __SELFTEST_IOMMU_UAPI_EDU */
