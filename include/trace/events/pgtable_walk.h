/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pgtable_walk

#if !defined(_TRACE_PGTABLE_WALK_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_PGTABLE_WALK_H

#include <linux/pgtable_age.h>
#include <linux/tracepoint.h>

/* One range of guest physical addresses was aged, with or without the MMU lock. */
TRACE_EVENT(pgtable_walk_age,
	TP_PROTO(const struct pgtable_age *age),
	TP_ARGS(age),

	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, end)
		__field(bool, clear)
		__field(unsigned int, visited)
		__field(unsigned int, young)
		__field(unsigned int, lost)
		__field(unsigned int, busy)
	),

	TP_fast_assign(
		__entry->start = age->start;
		__entry->end = age->end;
		__entry->clear = age->clear;
		__entry->visited = age->stats.visited;
		__entry->young = age->stats.young;
		__entry->lost = age->stats.lost;
		__entry->busy = age->stats.busy;
	),

	TP_printk("%s 0x%llx-0x%llx visited=%u young=%u lost=%u busy=%u",
		  __entry->clear ? "clear" : "test", __entry->start, __entry->end,
		  __entry->visited, __entry->young, __entry->lost, __entry->busy)
);

#endif /* _TRACE_PGTABLE_WALK_H */

#include <trace/define_trace.h>
