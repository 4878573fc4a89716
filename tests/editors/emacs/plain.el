;;; plain.el --- Eglot without the package  -*- lexical-binding: t; -*-

;; What a person has in their init file stands in the file JOURNEY_INIT.

(require 'cl-lib)
(require 'python)
(require 'eglot)
(require 'flymake)
(load (getenv "JOURNEY_INIT") nil t t)

(with-current-buffer (find-file-noselect ".sidestep/workflows/wrong.py")
  (let ((eglot-sync-connect t)) (call-interactively #'eglot))
  (let ((deadline (+ (float-time) 30)) found)
    (while (and (not found) (< (float-time) deadline))
      (accept-process-output nil 0.02)
      (flymake-start)
      (setq found (cl-find-if (lambda (each) (string-match-p "needs an id" (flymake-diagnostic-text each)))
                              (flymake-diagnostics))))
    (message "SAID %s" (flymake-diagnostic-text found))
    (dolist (action (eglot-code-actions (flymake-diagnostic-beg found) (flymake-diagnostic-end found)))
      (message "SAID action: %s" (plist-get action :title)))))

(defun plain-told (regexp)
  "What the server told that fits REGEXP, once it has."
  (let ((deadline (+ (float-time) 30)) told)
    (while (and (not told) (< (float-time) deadline))
      (accept-process-output nil 0.02)
      (setq told (with-current-buffer "*Messages*"
                   (save-excursion
                     (goto-char (point-min))
                     (and (re-search-forward regexp nil t) (match-string 0))))))
    (message "SAID told: %s" told)))

;; The action "Run", by the command that offers the fixes: first untrusted, then trusted as the message says.
(with-current-buffer (find-file-noselect ".sidestep/workflows/plain.py")
  (unless (eglot-managed-p) (eglot--maybe-activate-editing-mode))
  (re-search-forward "^async def main")
  ;; A key, not a mouse.
  (let ((last-nonmenu-event ?a))
    (cl-letf (((symbol-function 'completing-read) (lambda (_prompt choices &rest _) (caar choices))))
      (call-interactively #'eglot-code-actions)
      (plain-told "[^ ]* is not trusted.*")
      (call-process "sidestep" nil nil nil "trust" (expand-file-name "../.."))
      (call-interactively #'eglot-code-actions)
      (plain-told "plain completed.*"))))
