"""Questions of agents' code to the user: who answers them, and those that wait for an answer."""

from rlm_jupyter.user_questions.audience import answering
from rlm_jupyter.user_questions.pending import UserQuestion, pending_questions, wait_for_question

__all__ = ["UserQuestion", "answering", "pending_questions", "wait_for_question"]
