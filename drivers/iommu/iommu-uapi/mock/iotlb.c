// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: caches of stage 1
 *
 * What is in here stays until the right invalidation, or until room is needed:
 * a missing one shows as a stale translation. Nothing is allocated, and the time
 * of an invalidation depends on the number of entries, not on its range.
 */
#include "mock.h"

/**
 * mock_tlb_init() - Begin with an empty cache
 * @tlb: the cache
 */
void mock_tlb_init(struct mock_tlb *tlb)
{
	unsigned int i;

	spin_lock_init(&tlb->lock);
	INIT_LIST_HEAD(&tlb->live);
	INIT_LIST_HEAD(&tlb->free);
	for (i = 0; i < ARRAY_SIZE(tlb->pool); i++)
		list_add_tail(&tlb->pool[i].node, &tlb->free);
}

static bool tag_equal(const struct mock_tag *a, const struct mock_tag *b)
{
	return a->nested == b->nested && a->has_pasid == b->has_pasid &&
	       a->pasid == b->pasid && a->asid == b->asid;
}

static bool covers(const struct mock_leaf *leaf, u64 addr)
{
	return addr - leaf->va < leaf->size;
}

static struct mock_tlb_entry *find(struct mock_tlb *tlb,
				   const struct mock_tag *tag, u64 addr)
{
	struct mock_tlb_entry *entry;

	list_for_each_entry(entry, &tlb->live, node)
		if (covers(&entry->leaf, addr) && tag_equal(&entry->tag, tag))
			return entry;
	return NULL;
}

/**
 * mock_tlb_lookup() - Look for a cached translation
 * @tlb: the cache
 * @tag: of the request
 * @addr: its address
 * @acc: its MOCK_ACC_*
 * @leaf: the translation
 *
 * Return: whether there is one that allows the access
 */
bool mock_tlb_lookup(struct mock_tlb *tlb, const struct mock_tag *tag, u64 addr,
		     unsigned int acc, struct mock_leaf *leaf)
{
	struct mock_tlb_entry *entry;
	bool hit;

	spin_lock(&tlb->lock);
	entry = find(tlb, tag, addr);
	/* Tables are walked again before a permission fault. */
	hit = entry && (entry->leaf.allowed & BIT(acc));
	if (hit)
		*leaf = entry->leaf;
	spin_unlock(&tlb->lock);
	return hit;
}

/**
 * mock_tlb_insert() - Cache a translation
 * @tlb: the cache
 * @tag: of the request
 * @leaf: the translation
 *
 * Replaces those for the same addresses, and, in a full cache, the oldest.
 */
void mock_tlb_insert(struct mock_tlb *tlb, const struct mock_tag *tag,
		     const struct mock_leaf *leaf)
{
	struct mock_tlb_entry *entry, *tmp;

	spin_lock(&tlb->lock);
	list_for_each_entry_safe(entry, tmp, &tlb->live, node) {
		if (!tag_equal(&entry->tag, tag) ||
		    !(covers(&entry->leaf, leaf->va) ||
		      covers(leaf, entry->leaf.va)))
			continue;
		list_move(&entry->node, &tlb->free);
		tlb->count--;
	}

	if (!list_empty(&tlb->free)) {
		entry = list_first_entry(&tlb->free, typeof(*entry), node);
		tlb->count++;
	} else {
		entry = list_first_entry(&tlb->live, typeof(*entry), node);
	}
	entry->tag = *tag;
	entry->leaf = *leaf;
	list_move_tail(&entry->node, &tlb->live);
	spin_unlock(&tlb->lock);
}

static bool selected(const struct mock_select *select,
		     const struct mock_tag *tag, u64 va, u64 size)
{
	if (select->nested && select->nested != tag->nested)
		return false;
	if (select->by_pasid && (select->has_pasid != tag->has_pasid ||
				 select->pasid != tag->pasid))
		return false;
	if (select->by_asid && select->asid != tag->asid)
		return false;
	return va <= select->last && va + (size - 1) >= select->first;
}

/**
 * mock_tlb_invalidate() - Drop cached translations
 * @tlb: the cache
 * @select: which
 */
void mock_tlb_invalidate(struct mock_tlb *tlb, const struct mock_select *select)
{
	struct mock_tlb_entry *entry, *tmp;

	spin_lock(&tlb->lock);
	list_for_each_entry_safe(entry, tmp, &tlb->live, node) {
		if (!selected(select, &entry->tag, entry->leaf.va,
			      entry->leaf.size))
			continue;
		list_move(&entry->node, &tlb->free);
		tlb->count--;
	}
	spin_unlock(&tlb->lock);
}

/**
 * mock_tlb_count() - Number of cached translations
 * @tlb: the cache
 *
 * Return: the number
 */
unsigned int mock_tlb_count(struct mock_tlb *tlb)
{
	unsigned int count;

	spin_lock(&tlb->lock);
	count = tlb->count;
	spin_unlock(&tlb->lock);
	return count;
}

/**
 * mock_cd_lookup() - Look for a cached context descriptor
 * @cache: the cache
 * @nested: stage 1 that it belongs to
 * @index: its index
 * @cd: the descriptor
 *
 * Return: whether there is one
 */
bool mock_cd_lookup(struct mock_cd_cache *cache,
		    const struct mock_nested *nested, u32 index,
		    struct mock_cd *cd)
{
	bool hit = false;
	unsigned int i;

	spin_lock(&cache->lock);
	for (i = 0; i < ARRAY_SIZE(cache->slots) && !hit; i++) {
		hit = cache->slots[i].nested == nested &&
		      cache->slots[i].index == index;
		if (hit)
			*cd = cache->slots[i].cd;
	}
	spin_unlock(&cache->lock);
	return hit;
}

/**
 * mock_cd_insert() - Cache a context descriptor
 * @cache: the cache
 * @nested: stage 1 that it belongs to
 * @index: its index
 * @cd: the descriptor
 */
void mock_cd_insert(struct mock_cd_cache *cache,
		    const struct mock_nested *nested, u32 index,
		    const struct mock_cd *cd)
{
	unsigned int i;

	spin_lock(&cache->lock);
	/* Another request may have been as fast. */
	for (i = 0; i < ARRAY_SIZE(cache->slots); i++)
		if (cache->slots[i].nested == nested &&
		    cache->slots[i].index == index)
			break;
	if (i == ARRAY_SIZE(cache->slots))
		i = cache->next++ % ARRAY_SIZE(cache->slots);
	cache->slots[i].nested = nested;
	cache->slots[i].index = index;
	cache->slots[i].cd = *cd;
	spin_unlock(&cache->lock);
}

/**
 * mock_cd_invalidate() - Drop cached context descriptors
 * @cache: the cache
 * @select: which: that of one PASID, or those with one tag, or all
 */
void mock_cd_invalidate(struct mock_cd_cache *cache,
			const struct mock_select *select)
{
	unsigned int i;

	spin_lock(&cache->lock);
	for (i = 0; i < ARRAY_SIZE(cache->slots); i++) {
		if (cache->slots[i].nested != select->nested ||
		    (select->by_pasid &&
		     cache->slots[i].index != select->pasid) ||
		    (select->by_asid &&
		     cache->slots[i].cd.asid != select->asid))
			continue;
		cache->slots[i].nested = NULL;
	}
	spin_unlock(&cache->lock);
}

/* The slot of a table entry, on the way of requests with @tag to @va; or NULL */
static struct mock_psc_entry *find_slot(struct mock_psc *psc,
					const struct mock_tag *tag, u64 va,
					u64 gpa)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(psc->slots); i++) {
		struct mock_psc_entry *slot = &psc->slots[i];

		if (slot->gpa == gpa && va - slot->va < slot->size &&
		    tag_equal(&slot->tag, tag))
			return slot;
	}
	return NULL;
}

/**
 * mock_psc_lookup() - Look for a cached table entry
 * @psc: the cache
 * @tag: of the request
 * @va: its address
 * @gpa: where the entry stands
 * @val: what it says
 *
 * Return: whether there is one
 */
bool mock_psc_lookup(struct mock_psc *psc, const struct mock_tag *tag, u64 va,
		     u64 gpa, u64 *val)
{
	struct mock_psc_entry *slot;

	spin_lock(&psc->lock);
	slot = find_slot(psc, tag, va, gpa);
	if (slot)
		*val = slot->val;
	spin_unlock(&psc->lock);
	return slot;
}

/**
 * mock_psc_insert() - Cache a table entry
 * @psc: the cache
 * @entry: the entry
 */
void mock_psc_insert(struct mock_psc *psc, const struct mock_psc_entry *entry)
{
	struct mock_psc_entry *slot;

	spin_lock(&psc->lock);
	slot = find_slot(psc, &entry->tag, entry->va, entry->gpa);
	if (!slot)
		slot = &psc->slots[psc->next++ % ARRAY_SIZE(psc->slots)];
	*slot = *entry;
	spin_unlock(&psc->lock);
}

/**
 * mock_psc_invalidate() - Drop cached table entries
 * @psc: the cache
 * @select: which
 */
void mock_psc_invalidate(struct mock_psc *psc, const struct mock_select *select)
{
	unsigned int i;

	spin_lock(&psc->lock);
	for (i = 0; i < ARRAY_SIZE(psc->slots); i++) {
		struct mock_psc_entry *slot = &psc->slots[i];

		if (slot->tag.nested &&
		    selected(select, &slot->tag, slot->va, slot->size))
			slot->tag.nested = NULL;
	}
	spin_unlock(&psc->lock);
}
