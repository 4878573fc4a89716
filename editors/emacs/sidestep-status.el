;;; sidestep-status.el --- What runs, at a glance  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; The last status of each run that the servers have told, and a segment of the
;; mode line made of them.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'sidestep-picture)
(require 'sidestep-server)

(declare-function sidestep-run-deleted "sidestep-run")
(declare-function sidestep-run-buffer "sidestep-run")

(defvar sidestep-status-functions nil
  "Called with a session when the status of one of its runs has changed.")

(cl-defmethod eglot-handle-notification ((server sidestep-server) (_method (eql 'workflow/statusChanged))
                                         &rest told)
  "SERVER has TOLD what became of a run."
  (let ((session (sidestep-session (project-root (slot-value server 'project))))
        (run-id (plist-get told :runId)))
    (if (sidestep-stopped-p (plist-get told :status))
        (remhash run-id (sidestep-session-runs session))
      (puthash run-id told (sidestep-session-runs session)))
    (sidestep-status--tell-end told)
    (sidestep-status--changed session)))

(defun sidestep-status--tell-end (told)
  "Say that a run has ended, by TOLD, when no window shows it.
The change itself is told once.  Who interrupted a run knows that it stopped,
and the server says by itself what a crash has interrupted."
  (let* ((status (plist-get told :status))
         (why (or (plist-get (plist-get told :error) :message) (plist-get told :reason)))
         (buffer (sidestep-run-buffer (plist-get told :runId))))
    (when (and (plist-get told :previous)
               (equal (plist-get told :attention) "notifyOnTerminal")
               (or (member status '("completed" "failed")) (equal why "deadline"))
               (not (and buffer (get-buffer-window buffer t))))
      (message "%s %s%s  (M-x sidestep-show)" (or (plist-get told :label) (plist-get told :name)) status
               (if why (concat ": " (sidestep-one-line why)) "")))))

(cl-defmethod eglot-handle-notification ((server sidestep-server) (_method (eql 'workflow/deleted))
                                         &key runId &allow-other-keys)
  "The run RUNID of SERVER is gone."
  (let ((session (sidestep-session (project-root (slot-value server 'project)))))
    (remhash runId (sidestep-session-runs session))
    (sidestep-run-deleted runId)
    (sidestep-status--changed session)))

(cl-defmethod eglot-handle-notification ((_server sidestep-server) (_method (eql 'workflow/serverStatus))
                                         &key health message &allow-other-keys)
  "The server is in HEALTH; MESSAGE says what to do."
  (when message
    (message "Sidestep (%s): %s" health message)))

(defun sidestep-status--changed (session)
  "Show what has changed in SESSION."
  (run-hook-with-args 'sidestep-status-functions session)
  (force-mode-line-update t))

(defun sidestep-status--connected (session)
  "Ask the new server of SESSION what runs."
  (clrhash (sidestep-session-runs session))
  (sidestep-send session :workflow/list (list :status ["active"] :limit 100)
                 (lambda (page)
                   (mapc (lambda (run)
                           (puthash (plist-get run :runId)
                                    (append run (list :summary (list :pending (plist-get run :pending))))
                                    (sidestep-session-runs session)))
                         (plist-get page :runs))
                   (sidestep-status--changed session))))

(add-hook 'sidestep-connected-functions #'sidestep-status--connected)

(defun sidestep-mode-line ()
  "How many runs are active and how many questions wait, for the mode line."
  (let ((active 0) (pending 0))
    (maphash (lambda (_folder session)
               (maphash (lambda (_run told)
                          (cl-incf active)
                          (cl-incf pending (or (plist-get (plist-get told :summary) :pending) 0)))
                        (sidestep-session-runs session)))
             sidestep-sessions)
    (cond ((> pending 0)
           (propertize (format " Sidestep:%d ?%d" active pending) 'face 'warning
                       'help-echo "M-x sidestep-answer answers what workflows ask"))
          ((> active 0)
           (propertize (format " Sidestep:%d" active) 'help-echo "Workflows that run; M-x sidestep-list"))
          (t ""))))

;;;###autoload
(define-minor-mode sidestep-mode-line-mode
  "Show in the mode line how many workflows run and how many questions wait."
  :global t
  :group 'sidestep
  (setq mode-line-misc-info (delete '(:eval (sidestep-mode-line)) mode-line-misc-info))
  (when sidestep-mode-line-mode
    (add-to-list 'mode-line-misc-info '(:eval (sidestep-mode-line)) t)))

(provide 'sidestep-status)
;;; sidestep-status.el ends here
