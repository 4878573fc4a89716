;;; sidestep-questions.el --- Answer what runs ask  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A question that a server sends is not answered in its reply: Emacs would have
;; to wait in the minibuffer inside of a process filter.  The reply leaves it
;; open, and `workflow/answer' answers it, now or next week.  The first durable
;; answer wins, whoever gives it.

;;; Code:

(require 'cl-lib)
(require 'sidestep-arguments)
(require 'sidestep-run)
(require 'sidestep-server)
(require 'sidestep-verbs)

(defcustom sidestep-prompt t
  "Whether questions of runs are asked as they come.
Otherwise they wait, counted in the mode line, for \\[sidestep-answer]."
  :type 'boolean
  :group 'sidestep)

(defvar sidestep-questions--open nil
  "What servers asked and nobody has answered, oldest first.
Each is (SESSION . PLIST).")

(defvar sidestep-questions--timer nil
  "The timer that will ask, or nil.")

(cl-defmethod eglot-handle-request ((server sidestep-server) (_method (eql 'workflow/interact))
                                    &rest question)
  "Ask QUESTION of SERVER as soon as the person is free; null leaves it open."
  (let ((session (sidestep-session (project-root (slot-value server 'project)))))
    (sidestep-questions--forget (plist-get question :interactionId))
    (setq sidestep-questions--open (append sidestep-questions--open (list (cons session question))))
    (message "Sidestep asks: %s (M-x sidestep-answer)" (plist-get question :title))
    (sidestep-questions--ask-soon)
    nil))

(cl-defmethod eglot-handle-notification ((_server sidestep-server) (_method (eql 'workflow/interactionResolved))
                                         &key interactionId &allow-other-keys)
  "The question INTERACTIONID was answered or withdrawn."
  (sidestep-questions--forget interactionId))

(defun sidestep-questions--forget (interaction-id)
  "Ask INTERACTION-ID no more."
  (setq sidestep-questions--open
        (cl-remove interaction-id sidestep-questions--open
                   :key (lambda (each) (plist-get (cdr each) :interactionId)) :test #'equal)))

(defun sidestep-questions--ask-soon ()
  "Ask the oldest question that came, when nothing is being read."
  (when (and sidestep-prompt sidestep-questions--open (not (timerp sidestep-questions--timer)))
    (setq sidestep-questions--timer (run-with-timer 0 nil #'sidestep-questions--ask-next))))

(defun sidestep-questions--ask-next ()
  "Ask the oldest question that came; in the minibuffer, wait until it is left."
  (setq sidestep-questions--timer nil)
  (if (> (minibuffer-depth) 0)
      (add-hook 'minibuffer-exit-hook #'sidestep-questions--later)
    (let ((next (pop sidestep-questions--open)))
      (when next
        ;; Quit leaves the question open, for `sidestep-answer'.
        (condition-case refused
            (with-local-quit (sidestep-questions--ask (car next) (cdr next)))
          (user-error (message "%s" (error-message-string refused))))
        (sidestep-questions--ask-soon)))))

(defun sidestep-questions--later ()
  "The minibuffer is left: ask what came meanwhile."
  (remove-hook 'minibuffer-exit-hook #'sidestep-questions--later)
  (sidestep-questions--ask-soon))

(defun sidestep-questions--read (question)
  "Ask the person QUESTION; the answer."
  (let* ((prompt (concat (plist-get question :title)
                         (if (plist-get question :detail) (concat "\n" (plist-get question :detail)) "")))
         (choices (append (plist-get question :choices) nil))
         (schema (plist-get question :schema)))
    (cond
     (choices
      (let* ((titles (mapcar (lambda (choice) (cons (plist-get choice :title) (plist-get choice :id))) choices))
             (chosen (completing-read (concat prompt " ") titles nil t)))
        (or (cdr (assoc chosen titles)) (user-error "The question stays open"))))
     (schema (car (sidestep-arguments-read (format "%s (%s)" prompt (sidestep-arguments-describe schema)) schema)))
     (t (read-string (concat prompt " "))))))

(defun sidestep-questions--ask (session question)
  "Ask QUESTION of SESSION and give the answer to the server."
  (let* ((answer (sidestep-questions--read question))
         (told (sidestep-request session :workflow/answer
                                 (list :interactionId (plist-get question :interactionId) :answer answer))))
    (message (if (eq (plist-get told :accepted) t)
                 "Answered: %s"
               "Somebody was quicker; the answer is: %s")
             (sidestep-arguments-json (plist-get told :recorded)))))

(defun sidestep-questions--pending (session)
  "The questions that wait in SESSION, or in the run of this buffer or line."
  (let ((here (or sidestep-run-id (plist-get (funcall sidestep-list-run-function) :runId))))
    (cl-mapcan (lambda (run-id)
                 (append (plist-get (sidestep-request session :workflow/get (list :runId run-id)) :pending) nil))
               (if here
                   (list here)
                 (mapcar (lambda (run) (plist-get run :runId))
                         (cl-remove-if (lambda (run) (eql (plist-get run :pending) 0))
                                       (sidestep-runs session '("active" "interrupted"))))))))

;;;###autoload
(defun sidestep-answer ()
  "Answer a question of this run, or of any run of this folder."
  (interactive)
  (let* ((session (sidestep-here))
         (pending (or (sidestep-questions--pending session) (user-error "No question waits")))
         (titled (mapcar (lambda (question)
                           (cons (format "%s  (%s)" (plist-get question :title) (plist-get question :interactionId))
                                 question))
                         pending))
         (question (if (cdr titled)
                       (cdr (assoc (completing-read "Answer: " titled nil t nil nil (caar titled)) titled))
                     (cdar titled))))
    (sidestep-questions--forget (plist-get question :interactionId))
    (sidestep-questions--ask session question)))

(provide 'sidestep-questions)
;;; sidestep-questions.el ends here
