;;; sidestep-list.el --- The runs of a folder  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A table of runs, newest first, a page at a time; it is read again as they
;; change.

;;; Code:

(require 'cl-lib)
(require 'tabulated-list)
(require 'sidestep-draw)
(require 'sidestep-picture)
(require 'sidestep-questions)
(require 'sidestep-run)
(require 'sidestep-server)
(require 'sidestep-status)
(require 'sidestep-verbs)

(defconst sidestep-list-page 50
  "Runs that are read at once.")

(defvar-local sidestep-list--runs nil "The runs shown, plists, newest first.")
(defvar-local sidestep-list--pages 1 "How many pages are shown.")
(defvar-local sidestep-list--more nil "Whether there are further pages.")
(defvar-local sidestep-list--timer nil "The timer that will read the runs again, or nil.")

(defvar sidestep-list-mode-map
  (let ((map (make-sparse-keymap)))
    (set-keymap-parent map tabulated-list-mode-map)
    (define-key map (kbd "RET") #'sidestep-show)
    (define-key map "i" #'sidestep-interrupt)
    (define-key map "r" #'sidestep-continue)
    (define-key map "a" #'sidestep-answer)
    (define-key map "d" #'sidestep-list-delete)
    (define-key map "m" #'sidestep-list-more)
    (define-key map "+" #'sidestep-run)
    map)
  "Keys of `sidestep-list-mode'.")

(define-derived-mode sidestep-list-mode tabulated-list-mode "Runs"
  "The runs of a folder.
\\{sidestep-list-mode-map}"
  (setq tabulated-list-format [("Status" 12 t) ("Name" 24 t) ("Started" 19 t) ("Duration" 10 nil)
                               ("Steps" 16 nil) ("Phase" 0 nil)]
        tabulated-list-padding 1)
  (setq-local sidestep-list-run-function #'sidestep-list-run)
  (setq-local revert-buffer-function (lambda (&rest _) (sidestep-list--read)))
  (tabulated-list-init-header))

(defun sidestep-list-run ()
  "The run at point, or nil."
  (cl-find (tabulated-list-get-id) sidestep-list--runs
           :key (lambda (run) (plist-get run :runId)) :test #'equal))

(defun sidestep-list--steps (run)
  "The steps of RUN as a cell."
  (let* ((steps (plist-get run :steps))
         (parts (list (format "%d done" (plist-get steps :completed)))))
    (when (> (plist-get steps :failed) 0) (push (format "%d failed" (plist-get steps :failed)) parts))
    (when (> (plist-get steps :running) 0) (push (format "%d running" (plist-get steps :running)) parts))
    (when (> (plist-get run :pending) 0) (push (format "%d asked" (plist-get run :pending)) parts))
    (string-join (nreverse parts) ", ")))

(defun sidestep-list--entry (run)
  "RUN as an entry of the table."
  (let ((started (sidestep-seconds (plist-get run :createdAt)))
        (ended (plist-get run :endedAt)))
    (list (plist-get run :runId)
          (vector (propertize (plist-get run :status) 'face (sidestep-face (plist-get run :status)))
                  (or (plist-get run :label) (plist-get run :name))
                  (format-time-string "%F %T" started)
                  (sidestep-duration (round (* 1000 (- (if ended (sidestep-seconds ended) (float-time)) started))))
                  (sidestep-list--steps run)
                  (or (plist-get run :phase) "")))))

(defun sidestep-list--take (page cursor)
  "Show PAGE, which was asked for with CURSOR."
  (setq sidestep-list--runs (append (and cursor sidestep-list--runs) (plist-get page :runs) nil)
        sidestep-list--more (plist-get page :nextCursor))
  (let ((shown (ceiling (length sidestep-list--runs) sidestep-list-page)))
    (if (and sidestep-list--more (< shown sidestep-list--pages))
        (sidestep-list--read sidestep-list--more)
      (setq tabulated-list-entries (mapcar #'sidestep-list--entry sidestep-list--runs)
            mode-line-process (and sidestep-list--more " (m shows more)"))
      (tabulated-list-print t))))

(defun sidestep-list--read (&optional cursor)
  "Read the runs again, from CURSOR on; nothing is waited for."
  (let ((buffer (current-buffer)))
    (sidestep-send (sidestep-session sidestep-folder) :workflow/list
                   (append (list :workspaceFolder (sidestep-uri sidestep-folder) :limit sidestep-list-page)
                           (and cursor (list :cursor cursor)))
                   (lambda (page)
                     (when (buffer-live-p buffer)
                       (with-current-buffer buffer (sidestep-list--take page cursor))))
                   (lambda (refused) (message "Sidestep: %s" (plist-get refused :message))))))

(defun sidestep-list--changed (session)
  "Read the lists of SESSION again shortly, once for all that changes until then."
  (dolist (buffer (buffer-list))
    (with-current-buffer buffer
      (when (and (derived-mode-p 'sidestep-list-mode)
                 (equal sidestep-folder (sidestep-session-root session))
                 (not (timerp sidestep-list--timer)))
        (setq sidestep-list--timer
              (run-with-timer 0.2 nil (lambda ()
                                        (when (buffer-live-p buffer)
                                          (with-current-buffer buffer
                                            (setq sidestep-list--timer nil)
                                            (sidestep-list--read))))))))))

(add-hook 'sidestep-status-functions #'sidestep-list--changed)
(add-hook 'sidestep-connected-functions #'sidestep-list--changed)

(defun sidestep-list-more ()
  "Show another page of runs."
  (interactive nil sidestep-list-mode)
  (unless sidestep-list--more (user-error "These are all runs"))
  (cl-incf sidestep-list--pages)
  (sidestep-list--read sidestep-list--more))

(defun sidestep-list-delete ()
  "Delete the run at point with all that it has done."
  (interactive nil sidestep-list-mode)
  (let ((run (or (sidestep-list-run) (user-error "There is no run in this line"))))
    (when (yes-or-no-p (format "Delete %s of %s for ever? " (plist-get run :name) (plist-get run :createdAt)))
      (sidestep-request (sidestep-here) :workflow/delete (list :runId (plist-get run :runId)))
      (sidestep-list--read))))

;;;###autoload
(defun sidestep-list ()
  "Show the runs of this folder."
  (interactive)
  (let* ((session (sidestep-here))
         (root (sidestep-session-root session))
         (buffer (get-buffer-create (format "*sidestep runs %s*" (abbreviate-file-name root)))))
    (sidestep-connect session)
    (with-current-buffer buffer
      (unless (derived-mode-p 'sidestep-list-mode) (sidestep-list-mode))
      (setq sidestep-folder root
            default-directory root)
      (sidestep-list--read))
    (pop-to-buffer buffer)
    buffer))

(provide 'sidestep-list)
;;; sidestep-list.el ends here
