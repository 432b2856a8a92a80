/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmu_notifier_age

#if !defined(_TRACE_MMU_NOTIFIER_AGE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MMU_NOTIFIER_AGE_H

#include <linux/bitmap.h>
#include <linux/mmu_notifier_age.h>
#include <linux/tracepoint.h>

/* All secondary MMUs of an address space were queried about parts of a range. */
TRACE_EVENT(mmu_notifier_age_range,
	TP_PROTO(const struct mmu_notifier_age *age, int ret),
	TP_ARGS(age, ret),

	TP_STRUCT__entry(
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(unsigned int, shift)
		__field(bool, clear)
		__field(unsigned int, wanted)
		__field(unsigned int, young)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->start = age->start;
		__entry->end = mmu_notifier_age_end(age);
		__entry->shift = age->shift;
		__entry->clear = age->clear;
		__entry->wanted = age->want ? bitmap_weight(age->want, age->nr) : age->nr;
		__entry->young = age->young ? bitmap_weight(age->young, age->nr) : 0;
		__entry->ret = ret;
	),

	TP_printk("%s 0x%lx-0x%lx shift=%u wanted=%u young=%u ret=%d",
		  __entry->clear ? "clear" : "test", __entry->start, __entry->end,
		  __entry->shift, __entry->wanted, __entry->young, __entry->ret)
);

#endif /* _TRACE_MMU_NOTIFIER_AGE_H */

#include <trace/define_trace.h>
