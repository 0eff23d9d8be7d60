"""Which day of its kind notices a planted mistake, for those that the first one does not.

It says where to look first, no more: `catch` in test_simulation.py goes on to the others. Each
catch prints the day that it has found (`pytest -rP`).
"""

from typing import Final

NOTICED: Final[dict[str, int]] = {
    "a_gap_of_the_exchange_is_not_noticed": 6,
    "a_hole_in_the_ledger_is_not_filled": 2,
    "a_commit_is_torn_in_two": 8,
    "the_fold_of_a_failed_commit_is_kept": 2,
    "an_unanswered_fact_is_not_told_again": 2,
    "no_answer_means_refused": 25,
    "a_409_means_refused": 25,
    "the_latch_is_not_looked_at_before_the_first_byte": 13,
    "nothing_is_held_after_a_cancel_all": 3,
    "only_the_new_terms_count": 4,
    "an_amend_is_sent_whatever_the_writer_says": 8,
    "an_amend_without_an_answer_never_was": 2,
    "unknown_amends_are_forgotten": 12,
    "what_is_on_its_way_is_not_counted": 2,
    "what_is_held_is_forgotten_after_a_restart": 7,
    "cancels_go_by_their_places": 7,
    "what_came_with_it_is_set_aside_too": 1,
    "renewals_and_amends_cross_decreases": 2,
}
