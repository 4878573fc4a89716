;;; sidestep-draw.el --- How a run is written down  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A picture (sidestep-picture.el) as text with faces.  Lines of a step carry
;; it as their text property `sidestep-step'.

;;; Code:

(require 'cl-lib)
(require 'json)
(require 'sidestep-picture)

(defface sidestep-title '((t :inherit bold :height 1.1)) "The name of a run." :group 'sidestep)
(defface sidestep-phase '((t :inherit font-lock-keyword-face :weight bold)) "Phases of a run." :group 'sidestep)
(defface sidestep-completed '((t :inherit success)) "What has completed." :group 'sidestep)
(defface sidestep-failed '((t :inherit error)) "What has failed." :group 'sidestep)
(defface sidestep-active '((t :inherit font-lock-function-name-face)) "What runs." :group 'sidestep)
(defface sidestep-interrupted '((t :inherit warning)) "What was interrupted." :group 'sidestep)
(defface sidestep-kept '((t :inherit shadow)) "Steps that were finished before and are not done again." :group 'sidestep)
(defface sidestep-log '((t :inherit font-lock-doc-face)) "What the script logs." :group 'sidestep)
(defface sidestep-output '((t :inherit shadow)) "What a running step prints." :group 'sidestep)

(defun sidestep-face (status)
  "The face of STATUS, a step's or a run's."
  (pcase status
    ("completed" 'sidestep-completed)
    ("failed" 'sidestep-failed)
    ("interrupted" 'sidestep-interrupted)
    (_ 'sidestep-active)))

(defun sidestep-duration (milliseconds)
  "MILLISECONDS for people."
  (cond ((< milliseconds 1000) (format "%d ms" milliseconds))
        ((< milliseconds 60000) (format "%.1f s" (/ milliseconds 1000.0)))
        (t (format-seconds "%hh %mm %ss%z" (/ milliseconds 1000)))))

(defun sidestep-draw (picture run-id trouble)
  "Insert PICTURE of the run RUN-ID.
TROUBLE says what is wrong with its server; nil when nothing is.
Lines of a step have it as their property `sidestep-step'."
  (sidestep-draw--head picture run-id trouble)
  (dolist (phase (reverse (sidestep-picture-phases picture)))
    (sidestep-draw--phase picture phase))
  (sidestep-draw--end picture))

(defun sidestep-draw--head (picture run-id trouble)
  "Insert name, status and counts of PICTURE, RUN-ID and TROUBLE."
  (let ((status (sidestep-picture-status picture))
        (kept (sidestep-picture-count picture #'sidestep-step-kept)))
    (insert (propertize (or (sidestep-picture-label picture) (sidestep-picture-name picture)) 'face 'sidestep-title)
            "  " (propertize status 'face (sidestep-face status))
            (if (sidestep-picture-reason picture) (format " (%s)" (sidestep-picture-reason picture)) "")
            (if (sidestep-picture-ended-at picture)
                (concat "  " (sidestep-duration (* 1000 (- (sidestep-picture-ended-at picture)
                                                           (sidestep-picture-started-at picture)))))
              "")
            "\n"
            (format "%d of %d steps completed%s  %s\n"
                    (sidestep-picture-count picture (sidestep-step-is "completed"))
                    (hash-table-count (sidestep-picture-steps picture))
                    (if (> kept 0) (format " (%d kept)" kept) "")
                    run-id))
    (when trouble
      (insert (propertize (concat trouble "\n") 'face 'sidestep-failed)))))

(defun sidestep-draw--phase (picture phase)
  "Insert PHASE of PICTURE with what happened in it."
  (when (sidestep-phase-name phase)
    (insert "\n" (propertize (sidestep-phase-name phase) 'face 'sidestep-phase)
            (if (sidestep-phase-details phase)
                (format " (%s)" (sidestep-picture-details (sidestep-phase-details phase)))
              "")
            "\n"))
  (dolist (entry (reverse (sidestep-phase-entries phase)))
    (cl-etypecase entry
      (sidestep-step (sidestep-draw--step picture entry))
      (sidestep-question (sidestep-draw--question entry))
      (sidestep-note
       (insert "  " (propertize (sidestep-one-line (sidestep-note-text entry)) 'face (sidestep-note-face entry))
               "\n")))))

(defun sidestep-draw--step (picture step)
  "Insert STEP of PICTURE, and the end of what it prints while it runs."
  (let* ((status (sidestep-step-status step))
         (printed (gethash (sidestep-step-id step) (sidestep-picture-output picture)))
         (face (if (sidestep-step-kept step) 'sidestep-kept (sidestep-face status)))
         (start (point)))
    (insert (propertize (format "  %-11s " (if (sidestep-step-kept step) "kept" status)) 'face face)
            (sidestep-step-id step)
            (if (sidestep-step-title step)
                (propertize (concat "  " (sidestep-one-line (sidestep-step-title step))) 'face 'shadow)
              "")
            (if (and (sidestep-step-attempt step) (> (sidestep-step-attempt step) 1))
                (format "  attempt %d" (sidestep-step-attempt step))
              "")
            (if (sidestep-step-duration-ms step)
                (concat "  " (sidestep-duration (sidestep-step-duration-ms step)))
              "")
            "\n")
    (when (sidestep-step-error step)
      (insert "      " (propertize (sidestep-one-line (sidestep-step-error step)) 'face 'sidestep-failed) "\n"))
    (when printed
      (insert "      " (propertize (sidestep-draw--last-line printed) 'face 'sidestep-output) "\n"))
    (put-text-property start (point) 'sidestep-step step)))

(defun sidestep-draw--last-line (text)
  "The last line of TEXT that has something in it."
  (sidestep-one-line (car (last (or (split-string text "[\n\r]+" t) '(""))))))

(defun sidestep-draw--question (question)
  "Insert QUESTION with its answer."
  (let ((title (sidestep-one-line (sidestep-question-title question))))
    (insert (pcase (sidestep-question-status question)
              ("asked" (concat (propertize (concat "  ? " title) 'face 'sidestep-interrupted) "  (a answers)"))
              ("answered" (format "  ? %s  %s%s" title
                                  (propertize (or (sidestep-question-answer question) "") 'face 'bold)
                                  (if (sidestep-question-by question)
                                      (format " (%s)" (sidestep-question-by question))
                                    "")))
              (status (format "  ? %s  (%s)" title status)))
            "\n")))

(defun sidestep-draw--end (picture)
  "Insert the report or the error of PICTURE."
  (let* ((result (sidestep-picture-result picture))
         (failure (sidestep-picture-error picture))
         (report (plist-get result :report))
         (data (plist-get result :data)))
    (when failure
      (insert "\n" (propertize (plist-get failure :message) 'face 'sidestep-failed)
              (if (plist-get failure :line)
                  (format "  (%s:%s)" (plist-get failure :file) (plist-get failure :line))
                "")
              "\n"))
    (when report (insert "\n" report "\n"))
    (when (plist-get result :uri)
      (insert "\n" (format "The result is too large to be shown: %s\n" (plist-get result :uri))))
    (when (and data (not report))
      (insert "\n" (sidestep-draw--json data) "\n"))))

(defun sidestep-draw--json (value)
  "VALUE as JSON over several lines."
  (with-temp-buffer
    (insert (json-serialize value :null-object nil :false-object :json-false))
    (json-pretty-print-buffer)
    (buffer-string)))

(defun sidestep-draw-output (summary)
  "The output of a step by its SUMMARY, for people."
  (let ((output (plist-get summary :output))
        (failure (plist-get summary :error))
        (uri (plist-get summary :outputUri)))
    (concat (if failure (concat (plist-get failure :message) "\n\n") "")
            (cond (uri (format "The output is too large to be sent; it is in %s\n" uri))
                  ((stringp output) output)
                  ((and (consp output) (plist-member output :stdout))
                   (concat (plist-get output :stdout)
                           (unless (string-empty-p (or (plist-get output :stderr) ""))
                             (concat "\nstderr:\n" (plist-get output :stderr)))
                           (format "\nexit code %s\n" (plist-get output :exit_code))))
                  (output (sidestep-draw--json output))
                  (failure "")
                  (t "No output yet.\n")))))

(provide 'sidestep-draw)
;;; sidestep-draw.el ends here
